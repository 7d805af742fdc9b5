// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAuditAnchor} from "./interfaces/IAuditAnchor.sol";
import {IConsortium} from "./interfaces/IConsortium.sol";
import {LogConsistency} from "./libraries/LogConsistency.sol";
import {LogOrigin} from "./libraries/LogOrigin.sol";

/// @title The chain's memory of how far each audit log had come; the interface is the manual.
contract AuditAnchor is IAuditAnchor {
    uint16 private constant GATEWAY = 1 << 10;
    uint256 private constant MAX_ORIGIN = 256;

    address public immutable consortium;

    mapping(bytes32 originHash => Anchor) private _latest;
    mapping(bytes32 originHash => address) private _firstAnchorer;

    constructor(address consortium_) {
        consortium = consortium_;
    }

    /// @inheritdoc IAuditAnchor
    function anchor(
        string calldata origin,
        uint64 size,
        bytes32 root,
        bytes32 mapRoot,
        bytes32[] calldata consistencyProof
    ) external {
        require(bytes(origin).length != 0 && bytes(origin).length <= MAX_ORIGIN, InvalidOrigin(bytes(origin).length));
        require(IConsortium(consortium).rolesOf(msg.sender) & GATEWAY != 0, NotGateway(msg.sender));
        bytes32 originHash = keccak256(bytes(origin));
        _checkOwner(origin, originHash);
        _checkGrowth(origin, originHash, size, root, consistencyProof);
        _latest[originHash] = Anchor(root, mapRoot, size, uint64(block.timestamp), msg.sender);
        emit Anchored(originHash, msg.sender, origin, size, root, mapRoot);
    }

    /// @inheritdoc IAuditAnchor
    function latest(string calldata origin) external view returns (Anchor memory) {
        return _latest[keccak256(bytes(origin))];
    }

    /// @inheritdoc IAuditAnchor
    function ownerOf(string calldata origin) external view returns (address) {
        bytes32 originHash = keccak256(bytes(origin));
        return originHash == _chainLogHash() ? address(0) : _owner(origin, originHash);
    }

    /// @inheritdoc IAuditAnchor
    function chainLogOrigin() public view returns (string memory) {
        return LogOrigin.chainLog(block.chainid, IConsortium(consortium).twinRegistry());
    }

    /// @dev The first anchor of an origin that nobody registered claims it.
    function _checkOwner(string calldata origin, bytes32 originHash) private {
        if (originHash == _chainLogHash()) return;
        address owner = _owner(origin, originHash);
        if (owner == address(0)) _firstAnchorer[originHash] = msg.sender;
        else require(owner == msg.sender, NotOriginOwner(msg.sender, origin, owner));
    }

    function _checkGrowth(
        string calldata origin,
        bytes32 originHash,
        uint64 size,
        bytes32 root,
        bytes32[] calldata proof
    ) private view {
        uint64 anchored = _latest[originHash].size;
        require(size > anchored, SizeNotGrowing(origin, anchored, size));
        bool fits = anchored == 0
            ? proof.length == 0
            : LogConsistency.isConsistent(anchored, size, _latest[originHash].root, root, proof);
        require(fits, InconsistentLog(origin, anchored, size));
    }

    function _owner(string calldata origin, bytes32 originHash) private view returns (address) {
        address registrant = IConsortium(consortium).logKeyOf(origin).owner;
        return registrant == address(0) ? _firstAnchorer[originHash] : registrant;
    }

    function _chainLogHash() private view returns (bytes32) {
        return keccak256(bytes(chainLogOrigin()));
    }
}
