// Command kubernetes is every long-running part of the embedded distribution in one static file.
//
// The part is chosen by the name that the file was started under, or else by the first argument.
// There is no logic here: what is configured, started, watched and restarted is decided by antihate.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"sort"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // CronJobs name time zones, and a bare host has no zone files.

	"github.com/containerd/containerd/v2/cmd/containerd/command"
	ctr "github.com/containerd/containerd/v2/cmd/ctr/app"
	"github.com/spf13/cobra"
	"go.etcd.io/etcd/etcdctl/v3/ctlv3"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"

	_ "antihate.local/kubernetes/still"
	_ "github.com/containerd/containerd/v2/cmd/containerd/builtins"
	_ "k8s.io/client-go/plugin/pkg/client/auth"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
)

var parts = map[string]func() int{
	"kube-apiserver":          func() int { return cli.Run(apiserver.NewAPIServerCommand()) },
	"kube-controller-manager": func() int { return cli.Run(controllers.NewControllerManagerCommand()) },
	"kube-scheduler":          func() int { return cli.Run(scheduler.NewSchedulerCommand()) },
	"kubelet":                 func() int { return cli.Run(kubelet.NewKubeletCommand(context.Background())) },
	"kube-proxy":              func() int { return cli.Run(proxy.NewProxyCommand()) },
	"kubectl":                 runKubectl,
	"containerd": func() int {
		return report("containerd", command.App().Run(context.Background(), os.Args))
	},
	"ctr":       func() int { return report("ctr", ctr.New().Run(context.Background(), os.Args)) },
	"kine":      runKine,
	"etcd":      func() int { etcdmain.Main(os.Args); return 0 },
	"etcdctl":   func() int { ctlv3.MustStart(); return 0 },
	"wireguard": runWireguard,
	"flanneld":  runFlanneld,
}

func main() {
	name := filepath.Base(os.Args[0])
	if parts[name] == nil && len(os.Args) > 1 {
		name = os.Args[1]
		os.Args = os.Args[1:]
	}
	run := parts[name]
	if run == nil {
		fmt.Fprintf(os.Stderr, "kubernetes: no part is called %q; it has %s\n", name, names())
		os.Exit(2)
	}
	// etcdctl's package lets every command of every part be shortened, kubectl's too.
	cobra.EnablePrefixMatching = name == "etcdctl"
	settle()
	os.Exit(run())
}

// settle keeps a part's heap small once it has started: ANTIHATE_SETTLED_GOGC is the percentage that holds from then on.
func settle() {
	percent, err := strconv.Atoi(os.Getenv("ANTIHATE_SETTLED_GOGC"))
	if err != nil {
		return
	}
	time.AfterFunc(2*time.Minute, func() {
		debug.SetGCPercent(percent)
		debug.FreeOSMemory()
	})
}

func runKubectl() int {
	// The verbosity is read before the command exists, because building the command already logs.
	_, _ = logs.GlogSetter(kubectl.GetLogVerbosity(os.Args))
	if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
		kubectlutil.CheckErr(err) // prints in kubectl's own form and exits
	}
	return 0
}

func report(name string, err error) int {
	if err == nil || errors.Is(err, context.Canceled) {
		return 0
	}
	fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
	return 1
}

func names() string {
	all := make([]string, 0, len(parts))
	for name := range parts {
		all = append(all, name)
	}
	sort.Strings(all)
	return strings.Join(all, " ")
}
