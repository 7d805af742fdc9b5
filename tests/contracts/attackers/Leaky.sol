// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title How not to pay: the money leaves before the balance is written. The attacker must be able to empty it.
contract Leaky {
    mapping(address => uint256) private _balances;

    function deposit(address account) external payable {
        _balances[account] += msg.value;
    }

    function withdraw(uint128 amount) external {
        require(_balances[msg.sender] >= amount && address(this).balance >= amount);
        (bool sent,) = msg.sender.call{value: amount}("");
        require(sent);
        unchecked {
            _balances[msg.sender] -= amount;
        }
    }
}
