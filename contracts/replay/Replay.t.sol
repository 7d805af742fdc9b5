// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @dev The few cheat codes this needs; forge answers at this address.
interface Vm {
    function warp(uint256 time) external;
    function chainId(uint256 id) external;
    function deal(address account, uint256 balance) external;
    function prank(address sender) external;
    function readFileBinary(string calldata path) external view returns (bytes memory);
    function envString(string calldata name) external view returns (string memory);
    function envUint(string calldata name) external view returns (uint256);
    function toString(uint256 value) external pure returns (string memory);
}

/// @title Plays tapes of tests/contracts/tape.py: each step does, or answers, exactly what was written down.
contract Replay {
    /// @dev The step that went another way, and what it did instead.
    error Differs(uint256 tape, uint256 step, bytes got, bytes expected);
    /// @dev How a tape ends that played to its last step.
    error Played();

    Vm private constant VM = Vm(0x7109709ECfa91a80626fF3989D68f67F5b1DD12D);
    uint256 private constant CREATE = 0;
    uint256 private constant SEND = 1;
    uint256 private constant REFUSED = 2;
    uint256 private constant READ = 3;

    struct Step {
        uint8 kind;
        uint64 time;
        address sender;
        address to;
        uint256 value;
        uint16 offset;
        bytes payload;
        bytes expected;
    }

    function test_everyTapePlaysAsItIsWritten() external {
        uint256 first = VM.envUint("TWINLEDGER_TAPES_FIRST");
        uint256 count = VM.envUint("TWINLEDGER_TAPES_COUNT");
        VM.chainId(VM.envUint("TWINLEDGER_TAPES_CHAIN"));
        assert(count > 0);
        for (uint256 i = first; i < first + count; ++i) {
            // A call of its own that ends in a revert: what a tape wrote, logged and took of memory goes with
            // it. Forge's own snapshots keep the logs of all tapes before, and copy them for each tape.
            try this.play(i) {
                assert(false);
            } catch (bytes memory ending) {
                if (bytes4(ending) != Played.selector) _fail(ending);
            }
        }
    }

    function play(uint256 tape) external {
        string memory folder = VM.envString("TWINLEDGER_TAPES");
        bytes memory raw = VM.readFileBinary(string.concat(folder, "/", VM.toString(tape)));
        uint256 cursor;
        for (uint256 number; cursor < raw.length; ++number) {
            Step memory step;
            (step, cursor) = _step(raw, cursor);
            VM.warp(step.time);
            (bool agrees, bytes memory got) = _agrees(step);
            if (!agrees) revert Differs(tape, number, got, step.expected);
        }
        revert Played();
    }

    function _fail(bytes memory why) private pure {
        assembly {
            revert(add(why, 0x20), mload(why))
        }
    }

    function _agrees(Step memory step) private returns (bool, bytes memory got) {
        if (step.kind == CREATE) {
            VM.prank(step.sender);
            address made;
            bytes memory code = step.payload;
            assembly {
                made := create(0, add(code, 0x20), mload(code))
            }
            return (made == step.to, abi.encode(made));
        }
        if (step.kind == SEND || step.kind == REFUSED) {
            if (step.value > 0) VM.deal(step.sender, step.value);
            VM.prank(step.sender);
            bool done;
            (done, got) = step.to.call{value: step.value}(step.payload);
            if (step.kind == SEND) return (done, got);
            return (!done && got.length >= 4 && bytes4(got) == bytes4(step.expected), got);
        }
        if (step.kind == READ) {
            (, got) = step.to.staticcall(step.payload);
            if (got.length < step.offset + step.expected.length) return (false, got);
            return (keccak256(_slice(got, step.offset, step.expected.length)) == keccak256(step.expected), got);
        }
        got = abi.encode(step.to.balance);
        return (keccak256(got) == keccak256(step.expected), got);
    }

    function _step(bytes memory raw, uint256 from) private pure returns (Step memory step, uint256 next) {
        step.kind = uint8(_number(raw, from, 1));
        step.time = uint64(_number(raw, from + 1, 8));
        step.sender = address(uint160(_number(raw, from + 9, 20)));
        step.to = address(uint160(_number(raw, from + 29, 20)));
        step.value = _number(raw, from + 49, 32);
        step.offset = uint16(_number(raw, from + 81, 2));
        uint256 payload = _number(raw, from + 83, 4);
        uint256 expected = _number(raw, from + 87, 4);
        step.payload = _slice(raw, from + 91, payload);
        step.expected = _slice(raw, from + 91 + payload, expected);
        next = from + 91 + payload + expected;
    }

    function _number(bytes memory raw, uint256 from, uint256 length) private pure returns (uint256 read) {
        assembly {
            read := shr(sub(256, mul(8, length)), mload(add(add(raw, 0x20), from)))
        }
    }

    function _slice(bytes memory raw, uint256 from, uint256 length) private pure returns (bytes memory slice) {
        slice = new bytes(length);
        for (uint256 i; i < length; i += 32) {
            assembly {
                mstore(add(add(slice, 0x20), i), mload(add(add(raw, 0x20), add(from, i))))
            }
        }
    }
}
