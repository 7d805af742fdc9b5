package main

import (
	"context"

	"github.com/hyperledger/firefly-common/pkg/fftypes"
	"github.com/hyperledger/firefly-transaction-manager/pkg/ffcapi"
)

// What FireFly starts for each namespace and an invocation never asks: event streams stay silent.

func (c *chain) EventStreamStart(context.Context, *ffcapi.EventStreamStartRequest) (*ffcapi.EventStreamStartResponse, ffcapi.ErrorReason, error) {
	return &ffcapi.EventStreamStartResponse{}, "", nil
}

func (c *chain) EventStreamStopped(context.Context, *ffcapi.EventStreamStoppedRequest) (*ffcapi.EventStreamStoppedResponse, ffcapi.ErrorReason, error) {
	return &ffcapi.EventStreamStoppedResponse{}, "", nil
}

func (c *chain) IsLive(context.Context) (*ffcapi.LiveResponse, ffcapi.ErrorReason, error) {
	return &ffcapi.LiveResponse{Up: true}, "", nil
}

func (c *chain) IsReady(context.Context) (*ffcapi.ReadyResponse, ffcapi.ErrorReason, error) {
	return &ffcapi.ReadyResponse{Ready: true}, "", nil
}

func (c *chain) EventStreamNewCheckpointStruct() ffcapi.EventListenerCheckpoint {
	return &ffcapi.BlockListenerCheckpoint{}
}

func (c *chain) GasPriceEstimate(context.Context, *ffcapi.GasPriceEstimateRequest) (*ffcapi.GasPriceEstimateResponse, ffcapi.ErrorReason, error) {
	return &ffcapi.GasPriceEstimateResponse{GasPrice: fftypes.JSONAnyPtr("0")}, "", nil
}

func (c *chain) AddressBalance(context.Context, *ffcapi.AddressBalanceRequest) (*ffcapi.AddressBalanceResponse, ffcapi.ErrorReason, error) {
	return nil, "", errNotMeasured
}

func (c *chain) GasEstimate(context.Context, *ffcapi.TransactionInput) (*ffcapi.GasEstimateResponse, ffcapi.ErrorReason, error) {
	return nil, "", errNotMeasured
}

func (c *chain) QueryInvoke(context.Context, *ffcapi.QueryInvokeRequest) (*ffcapi.QueryInvokeResponse, ffcapi.ErrorReason, error) {
	return nil, "", errNotMeasured
}

func (c *chain) DeployContractPrepare(context.Context, *ffcapi.ContractDeployPrepareRequest) (*ffcapi.TransactionPrepareResponse, ffcapi.ErrorReason, error) {
	return nil, "", errNotMeasured
}

func (c *chain) EventListenerVerifyOptions(context.Context, *ffcapi.EventListenerVerifyOptionsRequest) (*ffcapi.EventListenerVerifyOptionsResponse, ffcapi.ErrorReason, error) {
	return nil, "", errNotMeasured
}

func (c *chain) EventListenerAdd(context.Context, *ffcapi.EventListenerAddRequest) (*ffcapi.EventListenerAddResponse, ffcapi.ErrorReason, error) {
	return nil, "", errNotMeasured
}

func (c *chain) EventListenerRemove(context.Context, *ffcapi.EventListenerRemoveRequest) (*ffcapi.EventListenerRemoveResponse, ffcapi.ErrorReason, error) {
	return nil, "", errNotMeasured
}

func (c *chain) EventListenerHWM(context.Context, *ffcapi.EventListenerHWMRequest) (*ffcapi.EventListenerHWMResponse, ffcapi.ErrorReason, error) {
	return nil, "", errNotMeasured
}
