package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/ipc"
	"golang.zx2c4.com/wireguard/tun"
)

// runWireguard is wireguard-go's own command in the foreground: `wireguard LINK` makes the link and serves it until it is told
// to end, for a kernel that has no WireGuard. Keys and peers come by `wg` through the socket /var/run/wireguard/LINK.sock.
func runWireguard() int {
	if len(os.Args) == 2 && os.Args[1] == "--version" {
		fmt.Println("wireguard-go", moduleVersion("golang.zx2c4.com/wireguard"))
		return 0
	}
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "wireguard: give the name of one link")
		return 2
	}
	return report("wireguard", serveWireguard(os.Args[1]))
}

func serveWireguard(link string) error {
	packets, err := tun.CreateTUN(link, device.DefaultMTU)
	if err != nil {
		return fmt.Errorf("making the link %s: %w", link, err)
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM, syscall.SIGINT)
	served := device.NewDevice(packets, conn.NewDefaultBind(), device.NewLogger(device.LogLevelError, "("+link+") "))
	defer served.Close()
	file, err := ipc.UAPIOpen(link)
	if err != nil {
		return fmt.Errorf("opening the socket of %s: %w", link, err)
	}
	listener, err := ipc.UAPIListen(link, file)
	if err != nil {
		return fmt.Errorf("listening at the socket of %s: %w", link, err)
	}
	defer listener.Close()
	failed := make(chan error, 1)
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				failed <- err
				return
			}
			go served.IpcHandle(connection)
		}
	}()
	select {
	case <-end:
		return nil
	case err := <-failed:
		return fmt.Errorf("serving the socket of %s: %w", link, err)
	case <-served.Wait():
		return errors.New("the link " + link + " was taken away")
	}
}

// moduleVersion is the version of a module that this file was built from.
func moduleVersion(path string) string {
	info, ok := debug.ReadBuildInfo()
	if ok {
		for _, module := range info.Deps {
			if module.Path == path {
				return module.Version
			}
		}
	}
	return "of an unknown version"
}
