// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IConsortium} from "./interfaces/IConsortium.sol";

/// @title A k-of-n council: it proposes, approves, executes, and replaces itself.
abstract contract Council is IConsortium {
    uint256 private constant MAX_SEATS = 32;

    uint256 public override threshold;
    uint256 public override proposalCount;
    address[] private _council;
    mapping(address => bool) private _seated;
    mapping(uint256 => Proposal) private _proposals;
    mapping(uint256 => mapping(address => bool)) private _approved;

    constructor(address[] memory council_, uint256 threshold_) {
        _setCouncil(council_, threshold_);
    }

    /// @dev Only through a proposal.
    modifier onlyCouncil() {
        if (msg.sender != address(this)) revert OnlyCouncil(msg.sender);
        _;
    }

    // ------------------------------------------------------------------ proposals

    /// @inheritdoc IConsortium
    function propose(address target, bytes calldata data, string calldata reason)
        external
        override
        returns (uint256 proposalId)
    {
        _requireSeat();
        if (target.code.length == 0) revert NoContract(target);
        proposalId = ++proposalCount;
        _proposals[proposalId] = Proposal(target, msg.sender, false, data, reason);
        emit Proposed(proposalId, msg.sender, target, data, reason);
        _approve(proposalId);
    }

    /// @inheritdoc IConsortium
    function approve(uint256 proposalId) external override {
        _requireSeat();
        _requireOpen(proposalId);
        if (_approved[proposalId][msg.sender]) revert AlreadyApproved(proposalId, msg.sender);
        _approve(proposalId);
    }

    /// @inheritdoc IConsortium
    function execute(uint256 proposalId) external override {
        _requireSeat();
        _requireOpen(proposalId);
        uint256 given = approvals(proposalId);
        if (given < threshold) revert NotEnoughApprovals(proposalId, given, threshold);
        _execute(proposalId);
    }

    function _requireSeat() private view {
        if (!_seated[msg.sender]) revert NotCouncil(msg.sender);
    }

    function _requireOpen(uint256 proposalId) private view {
        if (proposalId == 0 || proposalId > proposalCount) revert UnknownProposal(proposalId);
        if (_proposals[proposalId].executed) revert AlreadyExecuted(proposalId);
    }

    function _approve(uint256 proposalId) private {
        _approved[proposalId][msg.sender] = true;
        emit Approved(proposalId, msg.sender);
        if (approvals(proposalId) >= threshold) _execute(proposalId);
    }

    function _execute(uint256 proposalId) private {
        Proposal storage chosen = _proposals[proposalId];
        chosen.executed = true;
        emit Executed(proposalId);
        (bool succeeded, bytes memory answer) = chosen.target.call(chosen.data);
        if (!succeeded) {
            // The target's own error tells the council what is wrong; wrapping would hide it.
            assembly {
                revert(add(answer, 32), mload(answer))
            }
        }
    }

    // ------------------------------------------------------------------ seats

    /// @inheritdoc IConsortium
    function setCouncil(address[] calldata council_, uint256 threshold_) external override onlyCouncil {
        address[] memory former = _council;
        for (uint256 i; i < former.length; ++i) {
            _seated[former[i]] = false;
        }
        _setCouncil(council_, threshold_);
        for (uint256 i; i < former.length; ++i) {
            if (!_seated[former[i]]) _seat(former[i], false);
        }
    }

    function _setCouncil(address[] memory council_, uint256 threshold_) private {
        uint256 seats = council_.length;
        if (seats == 0 || seats > MAX_SEATS || threshold_ == 0 || threshold_ > seats) {
            revert InvalidCouncil(seats, threshold_);
        }
        for (uint256 i; i < seats; ++i) {
            if (council_[i] == address(0) || _seated[council_[i]]) revert InvalidAddress(council_[i]);
            _seated[council_[i]] = true;
            _seat(council_[i], true);
        }
        (_council, threshold) = (council_, threshold_);
        emit CouncilChanged(council_, threshold_);
    }

    /// @dev Writes the council role of an address.
    function _seat(address account, bool seated) internal virtual;

    // ------------------------------------------------------------------ views

    /// @inheritdoc IConsortium
    function council() public view override returns (address[] memory) {
        return _council;
    }

    /// @inheritdoc IConsortium
    function isCouncil(address account) public view override returns (bool) {
        return _seated[account];
    }

    /// @inheritdoc IConsortium
    function proposal(uint256 proposalId) external view override returns (Proposal memory) {
        return _proposals[proposalId];
    }

    /// @inheritdoc IConsortium
    function approvals(uint256 proposalId) public view override returns (uint256 given) {
        for (uint256 i; i < _council.length; ++i) {
            if (_approved[proposalId][_council[i]]) ++given;
        }
    }

    /// @inheritdoc IConsortium
    function hasApproved(uint256 proposalId, address account) external view override returns (bool) {
        return _approved[proposalId][account];
    }
}
