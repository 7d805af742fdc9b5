// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Escrow} from "./Escrow.sol";
import {FeeEpochs} from "./FeeEpochs.sol";
import {FeeMarket} from "./FeeMarket.sol";
import {IConsortium} from "./interfaces/IConsortium.sol";
import {ITwinRegistry} from "./interfaces/ITwinRegistry.sol";
import {Names} from "./libraries/Names.sol";
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

    mapping(bytes32 => uint256) public override record;
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
        bytes32 domain = domainSeparator();
        uint256 rejected;
        uint256 free;
        assembly ("memory-safe") {
            free := mload(0x40)
        }
        for (uint256 i; i < items; ++i) {
            // Nothing of an item outlives its turn; memory that only grew would cost 2,500 gas per item.
            assembly ("memory-safe") {
                mstore(0x40, free)
            }
            Submission calldata s = submissions[i];
            Version calldata v = s.version;
            Account storage payer = _accounts[v.submitter];
            bytes32 versionId = VersionHash.version(v);
            Why why = _judge(s, v, payer, versionId);
            if (why == Why.None) {
                bytes32 digest = VersionHash.submission(s, versionId, domain);
                bool signed = VersionHash.isSigned(digest, signatures[i], v.submitter);
                why = signed ? _take(batch, s, v, payer, versionId) : Why.BadSignature;
            }
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

    /// @dev Everything that does not depend on money or the signature.
    function _judge(Submission calldata s, Version calldata v, Account storage payer, bytes32 versionId)
        private
        view
        returns (Why)
    {
        uint256 known = record[versionId];
        if (known != 0) {
            if (uint8(known >> 48) & 15 != CANCELLED) return Why.AlreadySealed;
            if (s.issuedAt <= uint48(known)) return Why.Cancelled;
        }
        uint256 issuedAt = s.issuedAt;
        uint256 deadline = s.deadline;
        if (issuedAt > block.timestamp) return Why.NotYetIssued;
        if (block.timestamp > deadline) return Why.Expired;
        if (deadline > issuedAt + MAX_WINDOW) return Why.WindowTooLong;
        if (s.feeClass > 1) return Why.UnknownFeeClass;
        if (payer.roles & ROLE_SUBMITTER == 0) return Why.NotSubmitter;
        if (payer.namespaceId != v.namespaceId) return Why.WrongNamespace;
        return _judgeParents(v.parents);
    }

    function _judgeParents(bytes32[] calldata parents) private view returns (Why) {
        if (parents.length > MAX_PARENTS) return Why.TooManyParents;
        for (uint256 i; i < parents.length; ++i) {
            uint256 status = _statusOf(parents[i]);
            if (status == ACTIVE || status == DEPRECATED) continue;
            return status == REVOKED ? Why.RevokedParent : Why.UnknownParent;
        }
        return Why.None;
    }

    function _statusOf(bytes32 versionId) private view returns (uint256) {
        uint256 known = record[versionId];
        for (address former = predecessor; known == 0 && former != address(0);) {
            known = ITwinRegistry(former).record(versionId);
            former = ITwinRegistry(former).predecessor();
        }
        return (known >> 48) & 15;
    }

    /// @dev Charges and records an item that passed every other check.
    function _take(
        Batch memory batch,
        Submission calldata s,
        Version calldata v,
        Account storage payer,
        bytes32 versionId
    ) private returns (Why) {
        uint8 feeClass = s.feeClass;
        address submitter = v.submitter;
        (Why why, uint128 fee, uint128 tax) = _charge(batch, payer, feeClass == 1, v.size, s.maxPrice);
        if (why != Why.None) return why;
        record[versionId] = _pack(submitter, feeClass, ACTIVE);
        emit Registered(
            versionId,
            submitter,
            VersionHash.model(v.namespaceId, v.nameHash),
            v.namespaceId,
            v.nameHash,
            v.weightsRoot,
            v.manifest,
            v.parents,
            v.size,
            v.salt,
            feeClass,
            fee,
            tax,
            batch.epoch,
            batch.slot
        );
        return Why.None;
    }

    // ------------------------------------------------------------------ after sealing

    /// @inheritdoc ITwinRegistry
    function cancel(Version calldata version) external override {
        if (msg.sender != version.submitter) revert NotVersionSubmitter(msg.sender, version.submitter);
        (bytes32 versionId, bytes32 modelId, uint8 status) = _find(version);
        if (status != 0 && status != CANCELLED) revert NotCancellable(versionId, status);
        record[versionId] = _pack(msg.sender, 0, CANCELLED);
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
        record[versionId] = (record[versionId] & ~(uint256(15) << 48)) | uint256(status) << 48;
        emit StatusChanged(versionId, modelId, msg.sender, status, reason);
    }

    function _find(Version calldata version) private view returns (bytes32 versionId, bytes32 modelId, uint8 status) {
        versionId = VersionHash.version(version);
        modelId = VersionHash.model(version.namespaceId, version.nameHash);
        status = uint8(record[versionId] >> 48) & 15;
    }

    function _findSealed(Version calldata version) private view returns (bytes32 versionId, bytes32 modelId, uint8 status) {
        (versionId, modelId, status) = _find(version);
        if (status == 0 || status == CANCELLED) revert UnknownVersion(versionId);
    }

    function _pack(address submitter, uint8 feeClass, uint8 status) private view returns (uint256) {
        uint256 when = uint256(uint40(block.number)) << 56 | uint48(block.timestamp);
        return uint256(uint160(submitter)) << 96 | when | uint256(feeClass) << 52 | uint256(status) << 48;
    }

    function _requireRunning() private view {
        if (IConsortium(consortium).paused()) revert RegistryPaused();
    }

    // ------------------------------------------------------------------ views

    /// @inheritdoc ITwinRegistry
    function recordOf(bytes32 versionId) external view override returns (Record memory) {
        uint256 packed = record[versionId];
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
