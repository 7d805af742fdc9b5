// connector joins FireFly to an EVM node: FireFly's own transaction manager over the least that it can ask of one.
//
// FireFly's connector of its own, evmconnect, is not served as a module where this is developed. It is this same
// transaction manager with more between it and the node: gas estimates, retries, caches, traces, events. What is
// measured with this connector is therefore at least as fast as FireFly with its own.
package main

import (
	"context"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/hyperledger/firefly-common/pkg/config"
	"github.com/hyperledger/firefly-common/pkg/ffresty"
	"github.com/hyperledger/firefly-signer/pkg/rpcbackend"
	"github.com/hyperledger/firefly-transaction-manager/pkg/fftm"
	handlers "github.com/hyperledger/firefly-transaction-manager/pkg/txhandler/registry"
	"github.com/hyperledger/firefly-transaction-manager/pkg/txhandler/simple"
)

func main() {
	if err := run(os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

func run(settings string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	fftm.InitConfig()
	node := config.RootSection("connector")
	ffresty.InitConfig(node)
	handlers.RegisterHandler(&simple.TransactionHandlerFactory{})
	if err := config.ReadConfig("connector", settings); err != nil {
		return err
	}
	config.SetupLogging(ctx)
	client, err := ffresty.New(ctx, node)
	if err != nil {
		return err
	}
	manager, err := fftm.NewManager(ctx, &chain{rpc: rpcbackend.NewRPCClient(client)})
	if err != nil {
		return err
	}
	if err := manager.Start(); err != nil {
		return err
	}
	<-ctx.Done()
	manager.Close()
	return nil
}
