package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/k3s-io/kine/pkg/drivers"
	"github.com/k3s-io/kine/pkg/drivers/generic"
	"github.com/k3s-io/kine/pkg/drivers/sqlite"
	"github.com/k3s-io/kine/pkg/server"
	"github.com/k3s-io/kine/pkg/version"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

// What kine's own command has by default, where the API server could notice.
const (
	emulatedEtcd = "3.6.11"
	requestBytes = 2 << 20
	gracefulStop = 2 * time.Second
)

// runKine serves the etcd API over SQLite on a unix socket. Kine's own command carries the clients of every other database as
// well, a tenth of the whole program; this is its command with SQLite alone.
func runKine() int {
	flags := flag.NewFlagSet("kine", flag.ExitOnError)
	endpoint := flags.String("endpoint", "", "sqlite://FILE?PARAMETERS")
	listen := flags.String("listen-address", "", "unix://SOCKET")
	notify := flags.Duration("watch-progress-notify-interval", 5*time.Second, "between two notes of the newest revision to each watch")
	poll := flags.Duration("datastore-poll-interval", time.Second, "between two looks for changes that nobody told of")
	tell := flags.Bool("version", false, "print the version and end")
	_ = flags.Parse(os.Args[1:])
	if *tell {
		fmt.Println("kine version", version.Version)
		return 0
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	return report("kine", serveKine(ctx, *endpoint, *listen, *notify, *poll))
}

func serveKine(ctx context.Context, endpoint, listen string, notify, poll time.Duration) error {
	source, isSQLite := strings.CutPrefix(endpoint, "sqlite://")
	socket, isUnix := strings.CutPrefix(listen, "unix://")
	if !isSQLite || !isUnix {
		return errors.New("--endpoint=sqlite://FILE?PARAMETERS and --listen-address=unix://SOCKET are needed")
	}
	var work sync.WaitGroup
	defer work.Wait()
	// The backend outlives the server, so that what is being answered can still be read.
	backing, stop := context.WithCancel(context.Background())
	defer stop()
	_, backend, err := sqlite.New(backing, &work, &drivers.Config{
		Scheme:               "sqlite",
		DataSourceName:       source,
		ConnectionPoolConfig: generic.ConnectionPoolConfig{MaxIdle: 20, MaxIdleTime: 2 * time.Minute},
		CompactTimeout:       5 * time.Second,
		CompactMinRetain:     1000,
		CompactBatchSize:     1000,
		PollBatchSize:        500,
		PollInterval:         poll,
	})
	if err == nil {
		err = backend.Start(backing)
	}
	if err != nil {
		return fmt.Errorf("opening the datastore: %w", err)
	}
	listener, err := listenUnix(socket)
	if err != nil {
		return err
	}
	serving := grpc.NewServer(
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 2 * time.Hour, Timeout: 20 * time.Second}),
		grpc.MaxConcurrentStreams(math.MaxUint32),
		grpc.MaxRecvMsgSize(requestBytes),
		grpc.MaxSendMsgSize(math.MaxInt32),
	)
	server.New(backend, "unix", notify, emulatedEtcd).Register(serving)
	context.AfterFunc(ctx, func() {
		defer time.AfterFunc(gracefulStop, serving.Stop).Stop()
		serving.GracefulStop()
	})
	return serving.Serve(listener)
}

// listenUnix takes the socket over from a process that ended; only root may connect.
func listenUnix(socket string) (net.Listener, error) {
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	defer syscall.Umask(syscall.Umask(0o177))
	return net.Listen("unix", socket)
}
