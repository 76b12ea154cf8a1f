//! Role: observe, analyze and page in one process, without root and without Kubernetes.
