// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IFeeMarket} from "./interfaces/IFeeMarket.sol";

/// @title Accounts: escrow, roles as the Consortium writes them, and who is enrolled for rebates.
abstract contract Escrow is IFeeMarket {
    uint16 internal constant ROLE_SUBMITTER = 1 << 0;
    uint16 internal constant ROLE_MINER = 1 << 1;
    uint48 private constant FOREVER = type(uint48).max;
    // No sum of deposits can pass this, so a tax always fits the 96 bits it is kept in.
    uint256 private constant ESCROW_LIMIT = type(uint96).max;

    /// @dev taxes: epoch 32 | tax 96 for odd epochs in the high half, for even ones in the low half.
    struct Line {
        Enrolment enrolment;
        uint256 taxes;
    }

    address public immutable override consortium;
    address public override storageMarket;

    OpenEpoch internal _open;
    mapping(address => Account) internal _accounts;
    mapping(uint32 => Line) private _roll;
    mapping(uint64 => uint32) private _representative; // namespace -> enrolment of its account
    uint32 public override enrolmentCount;
    uint32 private _joining;
    uint32 private _leaving;

    constructor(address consortium_) {
        consortium = consortium_;
    }

    modifier onlyConsortium() {
        _requireConsortium();
        _;
    }

    modifier onlyStorageMarket() {
        _requireStorageMarket();
        _;
    }

    // Functions, because a modifier's body is copied to every place that uses it.
    function _requireConsortium() private view {
        if (msg.sender != consortium) revert OnlyConsortium(msg.sender);
    }

    function _requireStorageMarket() private view {
        if (msg.sender != storageMarket) revert OnlyStorageMarket(msg.sender);
    }

    // ------------------------------------------------------------------ escrow

    /// @inheritdoc IFeeMarket
    function deposit(address account_) external payable override {
        if (account_ == address(0)) revert InvalidReceiver(account_);
        _limitEscrow();
        _accounts[account_].balance += uint128(msg.value);
        emit Deposited(account_, msg.sender, msg.value);
    }

    /// @inheritdoc IFeeMarket
    function withdraw(uint128 amount) external override {
        Account storage own = _accounts[msg.sender];
        if (own.balance < amount) revert InsufficientEscrow(msg.sender, own.balance, amount);
        own.balance -= amount;
        emit Withdrawn(msg.sender, amount);
        (bool sent,) = msg.sender.call{value: amount}("");
        if (!sent) revert TransferFailed(msg.sender, amount);
    }

    function _credit(address account_, uint256 amount) internal {
        _accounts[account_].balance += uint128(amount);
    }

    // An account is one slot: balance 128 bits from the lowest, namespace 64, enrolment 32, roles 16. Sealing reads
    // it once for all its rules and writes it once; field by field it would be read five times an item.
    function _packed(Account storage account_) internal view returns (uint256 packed) {
        assembly ("memory-safe") {
            packed := sload(account_.slot)
        }
    }

    function _namespaceIn(uint256 packed) internal pure returns (uint64) {
        return uint64(packed >> 128);
    }

    function _rolesIn(uint256 packed) internal pure returns (uint16) {
        return uint16(packed >> 224);
    }

    /// @dev Takes what its escrow covers; false, and nothing taken, when it does not.
    function _debit(Account storage account_, uint256 packed, uint256 amount) internal returns (bool) {
        if (uint128(packed) < amount) return false;
        // The balance is the low half and covers the amount, so nothing is borrowed from the fields above it.
        assembly ("memory-safe") {
            sstore(account_.slot, sub(packed, amount))
        }
        return true;
    }

    function _limitEscrow() internal view {
        if (address(this).balance > ESCROW_LIMIT) revert DepositTooLarge(address(this).balance, ESCROW_LIMIT);
    }

    // ------------------------------------------------------------------ membership

    /// @inheritdoc IFeeMarket
    function setAccount(address account_, uint64 namespaceId, uint16 roles) external override onlyConsortium {
        Account storage own = _accounts[account_];
        bool submits = roles & ROLE_SUBMITTER != 0;
        uint32 index = _representative[own.namespaceId];
        if (index != 0 && _roll[index].enrolment.account == account_ && (!submits || own.namespaceId != namespaceId)) {
            _representative[own.namespaceId] = 0;
            _leave(index);
        }
        if (submits && _representative[namespaceId] == 0) _representative[namespaceId] = _enrol(account_, namespaceId);
        own.namespaceId = namespaceId;
        own.roles = roles;
        own.enrolment = submits ? _representative[namespaceId] : 0;
        emit AccountChanged(account_, namespaceId, roles);
    }

    function _enrol(address account_, uint64 namespaceId) private returns (uint32 index) {
        uint48 first = uint48(_open.epoch);
        if (_open.everSealed) {
            first += 1;
            ++_joining;
        } else {
            ++_open.accounts;
        }
        index = ++enrolmentCount;
        _roll[index].enrolment = Enrolment(account_, first, FOREVER);
        emit Enrolled(index, account_, namespaceId, first);
        if (!_open.everSealed) _termsChanged();
    }

    function _leave(uint32 index) private {
        Enrolment storage entry = _roll[index].enrolment;
        uint48 epoch = uint48(_open.epoch);
        if (_open.everSealed && entry.first <= epoch) {
            entry.last = epoch;
            ++_leaving;
            emit Left(index, entry.account, epoch);
            return;
        }
        // It was never active in an epoch with a seal, so it is as if it had not been enrolled.
        if (_open.everSealed) --_joining;
        else --_open.accounts;
        entry.first = FOREVER;
        entry.last = 0;
        emit Left(index, entry.account, 0);
        if (!_open.everSealed) _termsChanged();
    }

    /// @dev The number of active accounts from the next epoch on.
    function _nextAccounts() internal returns (uint32 accounts) {
        accounts = _open.accounts + _joining - _leaving;
        (_joining, _leaving) = (0, 0);
    }

    /// @dev Called when something changed before the first seal, i.e. at once.
    function _termsChanged() internal virtual;

    // ------------------------------------------------------------------ taxes by enrolment

    /// @dev Adds a tax to the payer's namespace; false when nobody is enrolled for it in this epoch.
    function _accrue(Account storage payer, uint256 packed, uint64 epoch, uint256 tax) internal returns (bool) {
        uint32 index = uint32(packed >> 192);
        Line storage line = _roll[index];
        if (index == 0 || !_isWithin(line.enrolment, epoch)) {
            // The namespace's account may have changed since this one's index was written.
            index = _representative[_namespaceIn(packed)];
            line = _roll[index];
            if (index == 0 || !_isWithin(line.enrolment, epoch)) return false;
            payer.enrolment = index;
        }
        unchecked {
            uint256 shift = (epoch & 1) << 7;
            uint256 word = line.taxes;
            // The 96 bits of a sum cannot overflow, see ESCROW_LIMIT.
            if (uint32(word >> shift >> 96) == uint32(epoch)) {
                line.taxes = word + (tax << shift);
            } else {
                uint256 others = word & ~(uint256(type(uint128).max) << shift);
                line.taxes = others | ((uint256(uint32(epoch)) << 96 | tax) << shift);
            }
        }
        return true;
    }

    /// @dev Index 0 is nobody: its last epoch is 0 and its first too, so it must be named.
    function _isActive(uint32 index, uint64 epoch) internal view returns (bool) {
        return index != 0 && _isWithin(_roll[index].enrolment, epoch);
    }

    /// @dev One slot: account 160 bits from the lowest, first 48, last 48.
    function _isWithin(Enrolment storage entry, uint64 epoch) private view returns (bool) {
        uint256 packed;
        assembly ("memory-safe") {
            packed := sload(entry.slot)
        }
        return uint48(packed >> 160) <= epoch && epoch <= packed >> 208;
    }

    /// @inheritdoc IFeeMarket
    function taxOf(uint32 index, uint64 epoch) public view override returns (uint256) {
        uint256 half = uint128(_roll[index].taxes >> (epoch & 1) * 128);
        return half >> 96 == uint32(epoch) ? uint96(half) : 0;
    }

    /// @inheritdoc IFeeMarket
    function account(address account_) external view override returns (Account memory) {
        return _accounts[account_];
    }

    /// @inheritdoc IFeeMarket
    function enrolment(uint32 index) public view override returns (Enrolment memory) {
        return _roll[index].enrolment;
    }

    /// @inheritdoc IFeeMarket
    function openEpoch() external view override returns (OpenEpoch memory) {
        return _open;
    }
}
