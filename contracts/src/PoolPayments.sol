// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IConsortium} from "./interfaces/IConsortium.sol";
import {IRewardPool} from "./interfaces/IRewardPool.sol";
import {IServiceEscrow} from "./interfaces/IServiceEscrow.sol";

/// @title How money leaves the pool, and who may act in it.
abstract contract PoolPayments is IRewardPool, IServiceEscrow {
    uint16 internal constant SPONSOR = 1 << 2;
    uint16 internal constant DEVICE = 1 << 3;
    uint16 internal constant AGGREGATOR = 1 << 4;
    uint16 internal constant HOST = 1 << 6;
    uint16 internal constant OPERATOR = 1 << 7;
    uint16 internal constant GATEWAY = 1 << 10;
    /// @dev Enough for a wallet contract that logs; too little to burn a batch of claims.
    uint256 private constant SEND_GAS = 30_000;

    address public immutable consortium;

    mapping(address => uint256) public override owedTo;

    constructor(address consortium_) {
        consortium = consortium_;
    }

    modifier onlyConsortium() {
        _requireConsortium();
        _;
    }

    modifier whenRunning() {
        _requireRunning();
        _;
    }

    /// @inheritdoc IServiceEscrow
    function withdrawOwed(address account) external override {
        uint256 amount = owedTo[account];
        if (amount == 0) revert NothingOwed(account);
        owedTo[account] = 0;
        emit OwedWithdrawn(account, amount);
        (bool sent,) = account.call{value: amount}("");
        if (!sent) revert PaymentFailed(account, amount);
    }

    /// @dev Only after every state change of the caller. An account that cannot take money must not hold up others.
    function _send(address account, uint256 amount) internal {
        if (amount == 0) return;
        bool sent;
        // An answer is never copied: its length is the receiver's choice and its cost would be the sender's.
        assembly ("memory-safe") {
            sent := call(SEND_GAS, account, amount, 0, 0, 0, 0)
        }
        if (sent) return;
        owedTo[account] += amount;
        emit PaymentOwed(account, amount);
    }

    /// @dev Functions, because a modifier's body is copied to every place that uses it.
    function _requireConsortium() private view {
        if (msg.sender != consortium) revert OnlyConsortium(msg.sender);
    }

    function _requireRunning() private view {
        if (IConsortium(consortium).paused()) revert PoolPaused();
    }

    function _requireRole(address account, uint16 role) internal view {
        if (IConsortium(consortium).rolesOf(account) & role == 0) revert RoleRequired(account, role);
    }

    function _value128() internal view returns (uint128) {
        if (msg.value > type(uint128).max) revert TotalTooLarge(msg.value, type(uint128).max);
        return uint128(msg.value);
    }
}
