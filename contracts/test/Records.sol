// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ITwinRegistry} from "../src/interfaces/ITwinRegistry.sol";
import {Keepers} from "./Keepers.sol";
import {VM} from "./Vm.sol";

/// @title What is done with versions beside sealing them, each act with what the rules make of it.
contract Records is Keepers {
    Item[] private _cancelled;
    mapping(uint256 owner => mapping(uint256 name => bytes32 versionId)) public aliases;

    /// @dev While paused nothing new comes in; every other act goes on, or it would fail where it is made.
    function pauseOrGoOn() external {
        bytes memory call_ =
            consortium.paused() ? abi.encodeCall(consortium.unpause, ()) : abi.encodeCall(consortium.pause, ());
        _council(address(consortium), call_);
    }

    function nameOf(uint256 name) public pure returns (string memory) {
        return ["champion", "shadow", "latest", "v7"][name % 4];
    }

    function setAlias(uint256 which, uint8 by, uint256 name) external {
        if (_sealed.length == 0) return;
        Item memory item = _sealed[which % _sealed.length];
        bytes32 id = _idOf(item);
        bool allowed = !consortium.paused() && by % USERS == item.who && consortium.rolesOf(user(by)) != 0
            && name % 4 < 2 && statusOf[id] != 3;
        VM.prank(user(by));
        try registry.setAlias(_version(item), nameOf(name)) {
            assert(allowed);
            aliases[item.who][name % 4] = id;
        } catch {
            assert(!allowed);
        }
    }

    /// @dev The council too; its proposal fails with the registry's own reason.
    function setStatus(uint256 which, uint8 by, bool byCouncil, uint8 status, bool because) external {
        if (_sealed.length == 0) return;
        Item memory item = _sealed[which % _sealed.length];
        bytes32 id = _idOf(item);
        status %= 6;
        bool allowed = because && status > statusOf[id] && status <= 3;
        if (!byCouncil) allowed = allowed && by % USERS == item.who && !consortium.paused();
        bytes memory call_ =
            abi.encodeCall(registry.setStatus, (_version(item), status, because ? "because" : ""));
        if (byCouncil) call_ = abi.encodeCall(consortium.propose, (address(registry), call_, "because"));
        else VM.prank(user(by));
        (bool done,) = (byCouncil ? address(consortium) : address(registry)).call(call_);
        assert(done == allowed);
        if (done) statusOf[id] = status;
    }

    /// @dev What was never sealed, by its submitter; it may be cancelled again, which moves the time on.
    function cancel(uint8 who, uint8 by, uint16 size, bool again, uint256 which) external {
        Item memory item = again && _cancelled.length != 0
            ? _cancelled[which % _cancelled.length]
            : Item(who % USERS, size, bytes32(++_salt));
        bytes32 id = _idOf(item);
        bool allowed = by % USERS == item.who && statusOf[id] == 0;
        VM.prank(user(by));
        try registry.cancel(_version(item)) {
            assert(allowed);
            if (cancelledAt[id] == 0) _cancelled.push(item);
            cancelledAt[id] = block.timestamp;
        } catch {
            assert(!allowed);
        }
    }

    function cancelSealed(uint256 which) external {
        if (_sealed.length == 0) return;
        Item memory item = _sealed[which % _sealed.length];
        VM.prank(user(item.who));
        try registry.cancel(_version(item)) {
            assert(false);
        } catch (bytes memory why) {
            assert(bytes4(why) == ITwinRegistry.NotCancellable.selector);
        }
    }

    /// @dev A sealed version costs nothing a second time; a cancelled one is taken when it is issued later.
    function sealAgain(uint256 which, bool wasCancelled, uint8 sealer, bool priority) external {
        Item[] storage known = wasCancelled ? _cancelled : _sealed;
        if (known.length == 0) return;
        Item[] memory items = new Item[](1);
        items[0] = known[which % known.length];
        _seal(items, sealer, priority);
    }

    /// @notice Every record of a cancelled version says so until it is sealed.
    function cancelledStay() external view returns (bool) {
        for (uint256 i; i < _cancelled.length; ++i) {
            bytes32 id = _idOf(_cancelled[i]);
            ITwinRegistry.Record memory its = registry.recordOf(id);
            if (statusOf[id] == 0 && (its.status != 4 || its.time != cancelledAt[id])) return false;
        }
        return true;
    }
}
