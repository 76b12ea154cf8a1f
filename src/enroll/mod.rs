//! Role: belonging to a geography; edge is the node's half, hub the upstream half.
