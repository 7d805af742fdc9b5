// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title A member whose wallet calls back while it is paid.
contract Reenterer {
    /// @dev One slot, written before the attack: inside the call back it then costs 100 gas to count.
    struct Tally {
        uint64 paid;
        uint64 succeeded;
        bytes4 answer;
    }

    address private _target;
    bytes private _again;
    Tally public tally;

    /// @notice Calls the target, and calls it `again` whenever money comes from then on.
    function attack(address target, bytes calldata data, bytes calldata again) external payable {
        (_target, _again, tally) = (target, again, Tally(0, 0, 0xffffffff));
        (bool done, bytes memory answer) = target.call{value: msg.value}(data);
        if (done) return;
        assembly {
            revert(add(answer, 32), mload(answer))
        }
    }

    receive() external payable {
        bytes memory data = _again;
        if (data.length == 0) return;
        // What is kept back is enough to count.
        (bool done, bytes memory answer) = _target.call{gas: gasleft() - 2_500}(data);
        Tally memory now_ = tally;
        tally = Tally(now_.paid + 1, now_.succeeded + (done ? 1 : 0), bytes4(answer));
    }
}
