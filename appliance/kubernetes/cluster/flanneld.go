package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/flannel-io/flannel/pkg/backend"
	_ "github.com/flannel-io/flannel/pkg/backend/hostgw"
	_ "github.com/flannel-io/flannel/pkg/backend/vxlan"
	"github.com/flannel-io/flannel/pkg/ipmatch"
	"github.com/flannel-io/flannel/pkg/subnet/kube"
)

// runFlanneld is flannel's own command for hosts that find each other through the API server: without its etcd, its cloud
// backends and its packet filter rules, which are antihate's.
func runFlanneld() int {
	flags := flag.NewFlagSet("flanneld", flag.ExitOnError)
	kubeconfig := flags.String("kubeconfig-file", "", "how to reach the API server")
	network := flags.String("net-config-path", "", "JSON: the pods' network and the backend")
	address := flags.String("public-ip", "", "this host's address, as the other hosts reach it")
	tell := flags.Bool("version", false, "print the version and end")
	_ = flags.Parse(os.Args[1:])
	if *tell {
		fmt.Println("flannel", moduleVersion("github.com/flannel-io/flannel"))
		return 0
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	return report("flanneld", serveFlannel(ctx, *kubeconfig, *network, *address))
}

// serveFlannel needs the environment's NODE_NAME, and that the node's range of pods is set in the API server.
func serveFlannel(ctx context.Context, kubeconfig, network, address string) error {
	if kubeconfig == "" || network == "" || address == "" {
		return errors.New("--kubeconfig-file, --net-config-path and --public-ip are needed")
	}
	manager, err := kube.NewSubnetManager(ctx, "", kubeconfig, "flannel.alpha.coreos.com", network, false)
	if err != nil {
		return err
	}
	config, err := manager.GetNetworkConfig(ctx)
	if err != nil {
		return err
	}
	stack, err := ipmatch.GetIPFamily(config.EnableIPv4, config.EnableIPv6)
	if err != nil {
		return err
	}
	outside, err := ipmatch.LookupExtIface(address, "", "", stack, ipmatch.PublicIPOpts{PublicIP: address})
	if err != nil {
		return fmt.Errorf("finding the link with the address %s: %w", address, err)
	}
	way, err := backend.NewManager(ctx, manager, outside).GetBackend(config.BackendType)
	if err != nil {
		return err
	}
	var work sync.WaitGroup
	defer work.Wait()
	carried, err := way.RegisterNetwork(ctx, &work, config)
	if err != nil {
		return fmt.Errorf("joining the pods' network: %w", err)
	}
	fmt.Fprintf(os.Stderr, "flanneld: %s carries %s over %s\n", config.BackendType, carried.Lease().Subnet, outside.Iface.Name)
	carried.Run(ctx)
	return nil
}
