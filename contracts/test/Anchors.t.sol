// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AuditAnchor} from "../src/AuditAnchor.sol";
import {IAuditAnchor} from "../src/interfaces/IAuditAnchor.sol";
import {IConsortium} from "../src/interfaces/IConsortium.sol";

/// @dev Everybody is a gateway and no log key is registered: only the anchor itself is under test.
contract Gateways {
    function rolesOf(address) external pure returns (uint16) {
        return type(uint16).max;
    }

    function twinRegistry() external pure returns (address) {
        return address(1);
    }

    function logKeyOf(string calldata) external pure returns (IConsortium.LogKey memory key) {}
}

/// @title Two logs that grow, are rewound and are forked; trees and proofs by the recursion of RFC 9162.
contract Logs {
    uint256 private constant LARGEST = 40;

    AuditAnchor public immutable anchor;
    uint64[2] public sizes;
    uint256 public wrong;
    bytes32[] private _path;

    constructor() {
        anchor = new AuditAnchor(address(new Gateways()));
    }

    function origin(uint256 which) public pure returns (string memory) {
        return which % 2 == 0 ? "a.example/log" : "b.example/log";
    }

    function grow(uint8 which, uint8 more) external {
        uint64 old = sizes[which % 2];
        uint64 size = old + 1 + more % 9;
        if (size > LARGEST) return;
        if (!_anchor(which, size, 0)) ++wrong;
        sizes[which % 2] = size;
    }

    function fork(uint8 which, uint8 more, bytes32 salt) external {
        uint64 old = sizes[which % 2];
        uint64 size = old + 1 + more % 9;
        if (old == 0 || size > LARGEST || salt == 0) return;
        if (_anchor(which, size, salt)) ++wrong;
    }

    function rewind(uint8 which, uint8 less) external {
        uint64 old = sizes[which % 2];
        if (old != 0 && _anchor(which, old - less % old, 0)) ++wrong;
    }

    /// @notice The root of the first `size` entries of the log with this salt.
    function root(uint256 size, bytes32 salt) public pure returns (bytes32) {
        return _root(0, size, salt);
    }

    function _anchor(uint8 which, uint64 size, bytes32 salt) private returns (bool) {
        uint64 old = sizes[which % 2];
        delete _path;
        if (old != 0 && old < size) _prove(old, 0, size, true, salt);
        try anchor.anchor(origin(which), size, root(size, salt), 0, _path) {
            return true;
        } catch {
            return false;
        }
    }

    function _root(uint256 from, uint256 n, bytes32 salt) private pure returns (bytes32) {
        if (n == 1) return sha256(abi.encodePacked(bytes1(0x00), from, salt));
        uint256 k = _half(n);
        return sha256(abi.encodePacked(bytes1(0x01), _root(from, k, salt), _root(from + k, n - k, salt)));
    }

    function _prove(uint256 m, uint256 from, uint256 n, bool whole, bytes32 salt) private {
        if (m == n) {
            if (!whole) _path.push(_root(from, n, salt));
            return;
        }
        uint256 k = _half(n);
        if (m <= k) {
            _prove(m, from, k, whole, salt);
            _path.push(_root(from + k, n - k, salt));
        } else {
            _prove(m - k, from + k, n - k, false, salt);
            _path.push(_root(from, k, salt));
        }
    }

    /// @dev The largest power of two below n.
    function _half(uint256 n) private pure returns (uint256 k) {
        k = 1;
        while (2 * k < n) k *= 2;
    }
}

/// @title Per origin only growth: every grown log is taken, every fork and every rewind is refused.
contract AnchorInvariants {
    Logs private _logs;

    function setUp() external {
        _logs = new Logs();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_logs);
    }

    function invariant_growthIsTakenAndForksAndRewindsAreRefused() external view {
        assert(_logs.wrong() == 0);
    }

    function invariant_theAnchorIsTheLogAsItGrew() external view {
        for (uint256 i; i < 2; ++i) {
            IAuditAnchor.Anchor memory last = _logs.anchor().latest(_logs.origin(i));
            assert(last.size == _logs.sizes(i));
            if (last.size != 0) assert(last.root == _logs.root(last.size, 0));
        }
    }

    function test_theActsGrowForkAndRewind() external {
        _logs.grow(0, 4);
        _logs.grow(0, 6);
        _logs.fork(0, 1, bytes32(uint256(1)));
        _logs.rewind(0, 3);
        assert(_logs.sizes(0) == 12 && _logs.wrong() == 0);
    }
}
