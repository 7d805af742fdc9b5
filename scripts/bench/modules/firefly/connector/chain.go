package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hyperledger/firefly-common/pkg/fftypes"
	"github.com/hyperledger/firefly-signer/pkg/abi"
	"github.com/hyperledger/firefly-signer/pkg/ethtypes"
	"github.com/hyperledger/firefly-signer/pkg/rpcbackend"
	"github.com/hyperledger/firefly-transaction-manager/pkg/ffcapi"
)

const blockPoll = 50 * time.Millisecond

var errNotMeasured = errors.New("this connector does only what an invocation needs")

// chain asks an EVM node what FireFly's transaction manager wants to know, and nothing else.
type chain struct{ rpc rpcbackend.RPC }

type block struct {
	Number       *ethtypes.HexInteger `json:"number"`
	Hash         string               `json:"hash"`
	ParentHash   string               `json:"parentHash"`
	Transactions []string             `json:"transactions"`
}

type receipt struct {
	BlockNumber      *ethtypes.HexInteger `json:"blockNumber"`
	BlockHash        string               `json:"blockHash"`
	TransactionIndex *ethtypes.HexInteger `json:"transactionIndex"`
	Status           *ethtypes.HexInteger `json:"status"`
}

// ask returns a plain nil: an *RPCError that is nil would be an error that is not.
func (c *chain) ask(ctx context.Context, answer any, method string, parameters ...any) error {
	if refused := c.rpc.CallRPC(ctx, answer, method, parameters...); refused != nil {
		return refused.Error()
	}
	return nil
}

func hexed(value *fftypes.FFBigInt) *ethtypes.HexInteger { return (*ethtypes.HexInteger)(value.Int()) }

func number(value *ethtypes.HexInteger) *fftypes.FFBigInt { return (*fftypes.FFBigInt)(value.BigInt()) }

func (c *chain) NextNonceForSigner(ctx context.Context, req *ffcapi.NextNonceForSignerRequest) (*ffcapi.NextNonceForSignerResponse, ffcapi.ErrorReason, error) {
	var nonce ethtypes.HexInteger
	if err := c.ask(ctx, &nonce, "eth_getTransactionCount", req.Signer, "pending"); err != nil {
		return nil, "", err
	}
	return &ffcapi.NextNonceForSignerResponse{Nonce: number(&nonce)}, "", nil
}

// TransactionPrepare takes the gas that the caller names: a real connector asks the node for an estimate.
func (c *chain) TransactionPrepare(_ context.Context, req *ffcapi.TransactionPrepareRequest) (*ffcapi.TransactionPrepareResponse, ffcapi.ErrorReason, error) {
	if req.Gas == nil {
		return nil, ffcapi.ErrorReasonInvalidInputs, errors.New("name the gas")
	}
	var method abi.Entry
	if err := json.Unmarshal(req.Method.Bytes(), &method); err != nil {
		return nil, ffcapi.ErrorReasonInvalidInputs, err
	}
	values := make([][]byte, len(req.Params))
	for i, value := range req.Params {
		values[i] = value.Bytes()
	}
	data, err := method.EncodeCallDataJSON(bytes.Join([][]byte{[]byte("["), bytes.Join(values, []byte(",")), []byte("]")}, nil))
	if err != nil {
		return nil, ffcapi.ErrorReasonInvalidInputs, err
	}
	return &ffcapi.TransactionPrepareResponse{Gas: req.Gas, TransactionData: ethtypes.HexBytes0xPrefix(data).String()}, "", nil
}

// TransactionSend leaves the signing to FireFly's signer, which stands between this connector and the node.
func (c *chain) TransactionSend(ctx context.Context, req *ffcapi.TransactionSendRequest) (*ffcapi.TransactionSendResponse, ffcapi.ErrorReason, error) {
	transaction := map[string]any{
		"from": req.From, "to": req.To, "data": req.TransactionData,
		"nonce": hexed(req.Nonce), "gas": hexed(req.Gas), "gasPrice": "0x0",
	}
	if req.Value != nil {
		transaction["value"] = hexed(req.Value)
	}
	var hash string
	if err := c.ask(ctx, &hash, "eth_sendTransaction", transaction); err != nil {
		return nil, "", err
	}
	return &ffcapi.TransactionSendResponse{TransactionHash: hash}, "", nil
}

func (c *chain) TransactionReceipt(ctx context.Context, req *ffcapi.TransactionReceiptRequest) (*ffcapi.TransactionReceiptResponse, ffcapi.ErrorReason, error) {
	var found *receipt
	if err := c.ask(ctx, &found, "eth_getTransactionReceipt", req.TransactionHash); err != nil {
		return nil, "", err
	}
	if found == nil {
		return nil, ffcapi.ErrorReasonNotFound, fmt.Errorf("%s has no receipt yet", req.TransactionHash)
	}
	return &ffcapi.TransactionReceiptResponse{TransactionReceiptResponseBase: ffcapi.TransactionReceiptResponseBase{
		BlockNumber:      number(found.BlockNumber),
		BlockHash:        found.BlockHash,
		TransactionIndex: number(found.TransactionIndex),
		Success:          found.Status.BigInt().Sign() > 0,
		ProtocolID:       fmt.Sprintf("%.12d/%.6d", found.BlockNumber.BigInt(), found.TransactionIndex.BigInt()),
	}}, "", nil
}

func (c *chain) block(ctx context.Context, method string, which any) (*ffcapi.BlockInfo, ffcapi.ErrorReason, error) {
	var found *block
	if err := c.ask(ctx, &found, method, which, false); err != nil {
		return nil, "", err
	}
	if found == nil {
		return nil, ffcapi.ErrorReasonNotFound, fmt.Errorf("there is no block %v", which)
	}
	return &ffcapi.BlockInfo{
		BlockNumber: number(found.Number), BlockHash: found.Hash,
		ParentHash: found.ParentHash, TransactionHashes: found.Transactions,
	}, "", nil
}

func (c *chain) BlockInfoByHash(ctx context.Context, req *ffcapi.BlockInfoByHashRequest) (*ffcapi.BlockInfoByHashResponse, ffcapi.ErrorReason, error) {
	found, reason, err := c.block(ctx, "eth_getBlockByHash", req.BlockHash)
	if err != nil {
		return nil, reason, err
	}
	return &ffcapi.BlockInfoByHashResponse{BlockInfo: *found}, "", nil
}

func (c *chain) BlockInfoByNumber(ctx context.Context, req *ffcapi.BlockInfoByNumberRequest) (*ffcapi.BlockInfoByNumberResponse, ffcapi.ErrorReason, error) {
	found, reason, err := c.block(ctx, "eth_getBlockByNumber", hexed(req.BlockNumber))
	if err != nil {
		return nil, reason, err
	}
	return &ffcapi.BlockInfoByNumberResponse{BlockInfo: *found}, "", nil
}

func (c *chain) NewBlockListener(_ context.Context, req *ffcapi.NewBlockListenerRequest) (*ffcapi.NewBlockListenerResponse, ffcapi.ErrorReason, error) {
	go c.listen(req.ListenerContext, req.BlockListener)
	return &ffcapi.NewBlockListenerResponse{}, "", nil
}

// listen tells of every new block until the context ends; it polls twenty times as often as evmconnect does.
func (c *chain) listen(ctx context.Context, blocks chan<- *ffcapi.BlockHashEvent) {
	var filter string
	for {
		var hashes []string
		if filter == "" {
			_ = c.ask(ctx, &filter, "eth_newBlockFilter")
		} else if err := c.ask(ctx, &hashes, "eth_getFilterChanges", filter); err != nil {
			filter = ""
		}
		if len(hashes) > 0 {
			select {
			case blocks <- &ffcapi.BlockHashEvent{BlockHashes: hashes, Created: fftypes.Now()}:
			case <-ctx.Done():
				return
			}
		}
		select {
		case <-time.After(blockPoll):
		case <-ctx.Done():
			return
		}
	}
}
