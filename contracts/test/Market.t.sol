// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IFeeMarket} from "../src/interfaces/IFeeMarket.sol";
import {Market} from "./Market.sol";

/// @title What stays true of all money and membership, whatever people do in whatever order.
contract MarketInvariants {
    Market private _market;

    function setUp() external {
        _market = new Market();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_market);
    }

    /// @dev The acts do reach what the invariants speak of: seals, closes, rebates, penalties, collections.
    function test_theActsReachEveryPartOfTheMarket() external {
        for (uint8 i; i < 4; ++i) _market.deposit(i, 10_000_000);
        _market.seal(0, 0, 100, true, 3);
        assert(_market.versions() == 4);
        _market.wait(4);
        for (uint8 i; i < 3; ++i) _market.post(i, 1, 3);
        _market.close();
        assert(_market.registry().rebate().due);
        while (_market.registry().rebate().due) _market.payRebates(1);
        _market.condemn(0);
        assert(_market.forfeitures() == 1);
        _market.wait(7);
        _market.collect(1, 0);
        assert(_market.registry().account(_market.miner(1)).balance > 0);
    }

    /// @dev I1: every wei is in an account, in the pool, or earned and not yet collected.
    function invariant_everyWeiIsAccountedFor() external view {
        uint256 held = _market.registry().pool();
        uint64 open = _market.registry().openEpoch().epoch;
        for (uint256 i; i < 4; ++i) held += _market.registry().account(_market.user(i)).balance;
        for (uint256 i; i < 3; ++i) {
            held += _market.registry().account(_market.miner(i)).balance;
            for (uint64 e; e <= open; ++e) held += _market.registry().creditOf(_market.miner(i), e);
        }
        assert(held == address(_market.registry()).balance);
    }

    /// @dev I2 and I3: the carry is part of the pool, and less than 3 wei an account as long as nobody failed.
    function invariant_theCarryIsDust() external view {
        assert(_market.registry().carry() <= _market.registry().pool() || _market.registry().rebate().due);
        if (_market.forfeitures() == 0) assert(_market.registry().carry() < 3 * 4);
    }

    /// @dev I5 and I6: priority is dearer by at least eps, and every miner's price is covered.
    function invariant_priorityIsStrictlyDearer() external view {
        IFeeMarket.Menu memory menu = _market.registry().menu();
        assert(menu.rhoH + menu.taxH >= menu.rhoL + menu.taxL + 1);
        (, uint64[] memory prices) = _market.registry().roster();
        uint256 costs;
        for (uint256 i; i < prices.length; ++i) costs += prices[i];
        assert(menu.rhoL == costs);
    }

    /// @dev The account slot of the registry says what the Consortium says.
    function invariant_rolesAgreeInBothContracts() external view {
        for (uint256 i; i < 4; ++i) {
            address account = _market.user(i);
            assert(_market.registry().account(account).roles == _market.consortium().rolesOf(account));
            assert(_market.registry().account(account).namespaceId == _market.consortium().namespaceOf(account));
        }
    }

    /// @dev N is the number of accounts on the roll that are active in the open epoch.
    function invariant_theNumberOfAccountsIsTheActiveRoll() external view {
        IFeeMarket.OpenEpoch memory open = _market.registry().openEpoch();
        uint256 active;
        for (uint32 i = 1; i <= _market.registry().enrolmentCount(); ++i) {
            IFeeMarket.Enrolment memory line = _market.registry().enrolment(i);
            if (line.first <= open.epoch && open.epoch <= line.last) ++active;
        }
        assert(active == open.accounts);
    }
}
