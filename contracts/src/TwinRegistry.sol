// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Escrow} from "./Escrow.sol";
import {FeeEpochs} from "./FeeEpochs.sol";
import {FeeMarket} from "./FeeMarket.sol";
import {IConsortium} from "./interfaces/IConsortium.sol";
import {ITwinRegistry} from "./interfaces/ITwinRegistry.sol";
import {Names} from "./libraries/Names.sol";
import {Desk, SealDesk} from "./libraries/SealDesk.sol";
import {VersionHash} from "./libraries/VersionHash.sol";

/// @title The records of all versions, and the one transaction that creates them.
contract TwinRegistry is ITwinRegistry, FeeEpochs {
    uint256 private constant MAX_BATCH = 200;
    uint256 private constant MAX_PARENTS = 8;
    uint256 private constant MAX_WINDOW = 86_400;
    uint8 private constant ACTIVE = 1;
    uint8 private constant DEPRECATED = 2;
    uint8 private constant REVOKED = 3;
    uint8 private constant CANCELLED = 4;

    address public immutable override predecessor;

    /// @dev A struct of one word, so that a place found once is read and written without hashing again.
    struct Slot {
        uint256 packed;
    }

    mapping(bytes32 => Slot) public override record;
    mapping(bytes32 => mapping(bytes32 => bytes32)) private _aliases; // modelId -> keccak256(name) -> versionId

    constructor(address consortium_, FeeParams memory params_) Escrow(consortium_) FeeMarket(params_) {
        address former = IConsortium(consortium_).predecessor();
        predecessor = former == address(0) ? address(0) : IConsortium(former).twinRegistry();
    }

    // ------------------------------------------------------------------ sealing

    /// @inheritdoc ITwinRegistry
    function seal(Submission[] calldata submissions, Signature[] calldata signatures) external override {
        uint256 items = submissions.length;
        if (items == 0 || items > MAX_BATCH || items != signatures.length) {
            revert BatchSizeOutOfRange(items, signatures.length, MAX_BATCH);
        }
        _requireRunning();
        Batch memory batch = _openBatch();
        Desk desk = SealDesk.open(batch.epoch, batch.slot);
        bytes32 domain = domainSeparator();
        uint256 stamp = _stamp(ACTIVE);
        uint256 rejected;
        for (uint256 i; i < items; ++i) {
            (bytes32 versionId, Why why) = _sealOne(batch, desk, domain, stamp, submissions[i], signatures[i]);
            if (why == Why.None) continue;
            emit Rejected(versionId, i, why);
            ++rejected;
        }
        _closeBatch(batch);
        emit BatchSealed(
            batch.epoch,
            batch.slot,
            msg.sender,
            items - rejected,
            rejected,
            batch.bytesH,
            batch.bytesL,
            batch.fee,
            batch.tax
        );
    }

    /// @dev Records, charges and announces one item, or says why not and touches nothing.
    function _sealOne(
        Batch memory batch,
        Desk desk,
        bytes32 domain,
        uint256 stamp,
        Submission calldata s,
        Signature calldata g
    ) private returns (bytes32 versionId, Why why) {
        versionId = desk.take(s);
        Slot storage place = record[versionId];
        uint256 submitter = desk.submitter();
        if (submitter > type(uint160).max) return (versionId, Why.NotSubmitter);
        Account storage payer = _accounts[address(uint160(submitter))];
        uint256 packed = _packed(payer);
        why = _judge(desk, place.packed, packed);
        if (why != Why.None) return (versionId, why);
        // No EIP-712 signature covers a price of more than 128 bits.
        uint256 maxPrice = desk.maxPrice();
        if (maxPrice > type(uint128).max || !desk.isSigned(domain, g)) return (versionId, Why.BadSignature);
        uint256 feeClass = desk.feeClass();
        uint256 fee;
        uint256 tax;
        (why, fee, tax) = _charge(batch, payer, packed, feeClass == 1, desk.size(), maxPrice);
        if (why != Why.None) return (versionId, why);
        place.packed = submitter << 96 | feeClass << 52 | stamp;
        desk.announce(versionId, submitter, fee, tax);
    }

    /// @dev Everything that does not depend on money or the signature. Words are compared whole, see SealDesk.
    function _judge(Desk desk, uint256 known, uint256 payer) private view returns (Why) {
        uint256 issuedAt = desk.issuedAt();
        uint256 deadline = desk.deadline();
        if (known != 0) {
            if ((known >> 48) & 15 != CANCELLED) return Why.AlreadySealed;
            if (issuedAt <= uint48(known)) return Why.Cancelled;
        }
        if (issuedAt > block.timestamp) return Why.NotYetIssued;
        if (block.timestamp > deadline) return Why.Expired;
        unchecked {
            // issuedAt is no later than now.
            if (deadline > issuedAt + MAX_WINDOW) return Why.WindowTooLong;
        }
        if (desk.feeClass() > 1) return Why.UnknownFeeClass;
        if (_rolesIn(payer) & ROLE_SUBMITTER == 0) return Why.NotSubmitter;
        if (_namespaceIn(payer) != desk.namespaceId()) return Why.WrongNamespace;
        uint256 parents = desk.parentCount();
        if (parents > MAX_PARENTS) return Why.TooManyParents;
        for (uint256 i; i < parents; ++i) {
            bytes32 parent = desk.parent(i);
            uint256 its = record[parent].packed;
            uint256 status = ((its == 0 ? _formerRecord(parent) : its) >> 48) & 15;
            if (status == ACTIVE || status == DEPRECATED) continue;
            return status == REVOKED ? Why.RevokedParent : Why.UnknownParent;
        }
        return Why.None;
    }

    /// @dev What the deployments before this one know.
    function _formerRecord(bytes32 versionId) private view returns (uint256 its) {
        for (address former = predecessor; its == 0 && former != address(0);) {
            its = ITwinRegistry(former).record(versionId);
            former = ITwinRegistry(former).predecessor();
        }
    }

    // ------------------------------------------------------------------ after sealing

    /// @inheritdoc ITwinRegistry
    function cancel(Version calldata version) external override {
        if (msg.sender != version.submitter) revert NotVersionSubmitter(msg.sender, version.submitter);
        (bytes32 versionId, bytes32 modelId, uint8 status) = _find(version);
        if (status != 0 && status != CANCELLED) revert NotCancellable(versionId, status);
        record[versionId].packed = uint256(uint160(msg.sender)) << 96 | _stamp(CANCELLED);
        emit VersionCancelled(versionId, msg.sender, modelId, uint64(block.timestamp));
    }

    /// @inheritdoc ITwinRegistry
    function setAlias(Version calldata version, string calldata name) external override {
        _requireRunning();
        Account storage own = _accounts[msg.sender];
        if (own.roles & ROLE_SUBMITTER == 0 || own.namespaceId != version.namespaceId) {
            revert NotOfNamespace(msg.sender, version.namespaceId);
        }
        if (!Names.isAlias(name)) revert InvalidAlias(name);
        (bytes32 versionId, bytes32 modelId, uint8 status) = _findSealed(version);
        if (status == REVOKED) revert VersionRevoked(versionId);
        _aliases[modelId][keccak256(bytes(name))] = versionId;
        emit AliasSet(modelId, versionId, msg.sender, name);
    }

    /// @inheritdoc ITwinRegistry
    function setStatus(Version calldata version, uint8 status, string calldata reason) external override {
        if (msg.sender != consortium) {
            _requireRunning();
            if (msg.sender != version.submitter) revert NotVersionSubmitter(msg.sender, version.submitter);
        }
        if (bytes(reason).length == 0) revert ReasonRequired();
        (bytes32 versionId, bytes32 modelId, uint8 present) = _findSealed(version);
        if (status <= present || status > REVOKED) revert StatusNotForward(versionId, present, status);
        record[versionId].packed = (record[versionId].packed & ~(uint256(15) << 48)) | uint256(status) << 48;
        emit StatusChanged(versionId, modelId, msg.sender, status, reason);
    }

    function _find(Version calldata version) private view returns (bytes32 versionId, bytes32 modelId, uint8 status) {
        versionId = VersionHash.version(version);
        modelId = VersionHash.model(version.namespaceId, version.nameHash);
        status = uint8(record[versionId].packed >> 48) & 15;
    }

    function _findSealed(Version calldata version) private view returns (bytes32 versionId, bytes32 modelId, uint8 status) {
        (versionId, modelId, status) = _find(version);
        if (status == 0 || status == CANCELLED) revert UnknownVersion(versionId);
    }

    /// @dev The record of class standard without its submitter: 160 bits, block 40, class 4, status 4, time 48.
    function _stamp(uint256 status) private view returns (uint256) {
        return uint256(uint40(block.number)) << 56 | status << 48 | uint48(block.timestamp);
    }

    function _requireRunning() private view {
        if (IConsortium(consortium).paused()) revert RegistryPaused();
    }

    // ------------------------------------------------------------------ views

    /// @inheritdoc ITwinRegistry
    function recordOf(bytes32 versionId) external view override returns (Record memory) {
        uint256 packed = record[versionId].packed;
        return Record({
            submitter: address(uint160(packed >> 96)),
            blockNumber: uint40(packed >> 56),
            feeClass: uint8(packed >> 52) & 15,
            status: uint8(packed >> 48) & 15,
            time: uint48(packed)
        });
    }

    /// @inheritdoc ITwinRegistry
    function aliasOf(bytes32 modelId, string calldata name) external view override returns (bytes32) {
        return _aliases[modelId][keccak256(bytes(name))];
    }

    /// @inheritdoc ITwinRegistry
    function hashVersion(Version calldata version) external pure override returns (bytes32) {
        return VersionHash.version(version);
    }

    /// @inheritdoc ITwinRegistry
    function domainSeparator() public view override returns (bytes32) {
        return VersionHash.domainSeparator();
    }
}
