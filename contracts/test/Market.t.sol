// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IFeeMarket} from "../src/interfaces/IFeeMarket.sol";
import {IStorageMarket} from "../src/interfaces/IStorageMarket.sol";
import {StorageMarket} from "../src/StorageMarket.sol";
import {TwinRegistry} from "../src/TwinRegistry.sol";
import {Records} from "./Records.sol";
import {VM} from "./Vm.sol";

/// @title What stays true of all money, versions and membership, whatever people do in whatever order.
/// @dev Each invariant is a campaign of its own over the same acts, so the rules share a few of them.
contract MarketInvariants {
    Records private _market;
    TwinRegistry private _registry;
    StorageMarket private _storageMarket;

    function setUp() external {
        // Not `new`: that would compile all of it once more into this contract.
        _market = Records(VM.deployCode("Records.sol:Records"));
        (_registry, _storageMarket) = (_market.registry(), _market.storageMarket());
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_market);
    }

    // ------------------------------------------------------------------ the acts reach what is spoken of

    /// @dev Seals, closes, rebates, penalties, collections.
    function test_theActsReachEveryPartOfTheMarket() external {
        _sealOneEpoch();
        while (_registry.rebate().due) _market.payRebates(1);
        _market.condemn(0);
        assert(_market.forfeitures() == 1 && _market.penalties() == 60);
        _market.wait(7);
        _market.collect(1, 0);
        assert(_registry.account(_market.miner(1)).balance > 0);
        _market.withdrawEarnings(1);
        assert(_market.earnings() > 0);
        _holds();
    }

    function test_anAbsentMinerLosesNothingAndIsPaidWhenItAnswers() external {
        _sealOneEpoch();
        uint256 held = _storageMarket.bondOf(_market.miner(2));
        _market.missAudit(2);
        _market.wait(7);
        _market.collect(2, 0);
        assert(_market.absences() == 1 && _market.paidOut(_market.miner(2), 0) == 0);
        _market.answerAtLast(2, 0);
        _market.collect(2, 0);
        assert(_market.answers() == 1 && _market.paidOut(_market.miner(2), 0) != 0);
        assert(_storageMarket.bondOf(_market.miner(2)) == held);
        _holds();
    }

    function test_aMinerThatLeavesTakesItsBondAlong() external {
        _market.retireOrReturn(1);
        for (uint256 i; i < 4; ++i) _market.wait(7);
        _market.unbond(1, 100);
        assert(_market.unbonded() == 100);
        _market.dismissOrHire(0);
        _market.dismissOrHire(0);
        _market.retireOrReturn(0);
        assert(_storageMarket.bondOf(_market.miner(0)) == 100);
        _holds();
    }

    function test_theActsReachEveryStateOfAVersion() external {
        for (uint8 i; i < 4; ++i) _market.deposit(i, 10_000_000);
        _market.cancel(0, 0, 100, false, 0);
        _market.sealAgain(0, true, 0, true);
        assert(_market.versions() == 0);
        _market.wait(1);
        _market.sealAgain(0, true, 0, true);
        _market.sealAgain(0, false, 0, true);
        assert(_market.versions() == 1);
        _market.setAlias(0, 0, 0);
        assert(_market.aliases(0, 0) == _market.sealedId(0));
        _market.setStatus(0, 0, false, 2, true);
        _market.setStatus(0, 1, true, 3, true);
        _market.cancelSealed(0);
        assert(_market.statusOf(_market.sealedId(0)) == 3);
        _holds();
    }

    function test_pausedMeansPausedAndMoneyStillLeaves() external {
        _sealOneEpoch();
        _market.pauseOrGoOn();
        _market.seal(0, 0, 100, true, 0);
        _market.setAlias(0, 0, 0);
        _market.setStatus(0, 0, false, 2, true);
        assert(_market.versions() == 4 && _market.statusOf(_market.sealedId(0)) == 1);
        while (_registry.rebate().due) _market.payRebates(1);
        _market.wait(7);
        _market.collect(1, 0);
        _market.withdrawEarnings(1);
        _market.withdraw(0, 1_000);
        _market.bond(0, 50);
        _market.unbond(0, 20);
        _market.cancel(1, 1, 100, false, 0);
        assert(_market.withdrawn() > 0 && _market.unbonded() == 20 && _market.earnings() > 0);
        _holds();
    }

    // ------------------------------------------------------------------ the rules

    function invariant_moneyIsConserved() external view {
        _everyWeiIsAccountedFor();
        _theCarryIsDust();
        _reimbursementIsExact();
        _bondsAreHeldOrPaid();
        _priorityIsStrictlyDearer();
    }

    function invariant_versionsAndMembersAreWhatTheRulesMadeThem() external view {
        _aVersionNeverChanges();
        _aliasesPointWhereTheyWereSet();
        _rolesAgreeInBothContracts();
        _theNumberOfAccountsIsTheActiveRoll();
    }

    function _holds() private view {
        this.invariant_moneyIsConserved();
        this.invariant_versionsAndMembersAreWhatTheRulesMadeThem();
    }

    /// @dev I1: every wei is in an account, in the pool, or earned and not yet collected.
    function _everyWeiIsAccountedFor() private view {
        uint256 held = _registry.pool();
        uint64 open = _registry.openEpoch().epoch;
        for (uint256 i; i < 4; ++i) held += _registry.account(_market.user(i)).balance;
        for (uint256 i; i < 3; ++i) {
            held += _registry.account(_market.miner(i)).balance;
            for (uint64 e; e <= open; ++e) held += _registry.creditOf(_market.miner(i), e);
        }
        assert(held == address(_registry).balance);
        uint256 moneyIn = _market.deposited() + _market.penalties();
        assert(moneyIn == held + _market.withdrawn() + _market.earnings());
    }

    /// @dev I2 and I3: the carry is part of the pool, and less than 3 wei an account as long as nobody failed.
    function _theCarryIsDust() private view {
        assert(_registry.carry() <= _registry.pool() || _registry.rebate().due);
        if (_market.forfeitures() == 0) assert(_registry.carry() < 3 * 4);
    }

    /// @dev Per miner and epoch: price times all bytes and the margin on its own, held or paid, to the wei.
    function _reimbursementIsExact() private view {
        uint64 open = _registry.openEpoch().epoch;
        for (uint256 i; i < 3; ++i) {
            address miner = _market.miner(i);
            for (uint64 e; e <= open; ++e) {
                assert(_registry.creditOf(miner, e) + _market.paidOut(miner, e) == _market.earned(miner, e));
                bool absent = _storageMarket.verdictOf(e, miner) == IStorageMarket.Verdict.Absent;
                assert(!absent || !_storageMarket.isSettled(e, miner));
            }
        }
    }

    function _bondsAreHeldOrPaid() private view {
        uint256 held;
        for (uint256 i; i < 3; ++i) held += _storageMarket.bondOf(_market.miner(i));
        assert(held == address(_storageMarket).balance);
        assert(_market.bonded() == held + _market.unbonded() + _market.penalties());
    }

    /// @dev I5 and I6: priority is dearer by at least eps, and every miner's price is covered.
    function _priorityIsStrictlyDearer() private view {
        IFeeMarket.Menu memory menu = _registry.menu();
        assert(menu.rhoH + menu.taxH >= menu.rhoL + menu.taxL + 1);
        (, uint64[] memory prices) = _registry.roster();
        uint256 costs;
        for (uint256 i; i < prices.length; ++i) costs += prices[i];
        assert(menu.rhoL == costs);
    }

    /// @dev The record is as it was written, but for its status, which is where the acts moved it.
    function _aVersionNeverChanges() private view {
        for (uint256 i; i < _market.sealedCount(); ++i) {
            bytes32 id = _market.sealedId(i);
            uint256 status = uint256(15) << 48;
            assert(_registry.record(id) & ~status == _market.sealedAs(id) & ~status);
            assert(_registry.recordOf(id).status == _market.statusOf(id));
        }
        assert(_market.cancelledStay());
    }

    function _aliasesPointWhereTheyWereSet() private view {
        for (uint256 i; i < 4; ++i) {
            bytes32 model = keccak256(abi.encodePacked(uint64(i + 1), keccak256("m")));
            for (uint256 name; name < 4; ++name) {
                assert(_registry.aliasOf(model, _market.nameOf(name)) == _market.aliases(i, name));
            }
        }
    }

    /// @dev The account slot of the registry says what the Consortium says.
    function _rolesAgreeInBothContracts() private view {
        for (uint256 i; i < 7; ++i) {
            address account = i < 4 ? _market.user(i) : _market.miner(i);
            assert(_registry.account(account).roles == _market.consortium().rolesOf(account));
            assert(_registry.account(account).namespaceId == _market.consortium().namespaceOf(account));
        }
    }

    /// @dev N is the number of accounts on the roll that are active in the open epoch.
    function _theNumberOfAccountsIsTheActiveRoll() private view {
        IFeeMarket.OpenEpoch memory open = _registry.openEpoch();
        uint256 active;
        for (uint32 i = 1; i <= _registry.enrolmentCount(); ++i) {
            IFeeMarket.Enrolment memory line = _registry.enrolment(i);
            if (line.first <= open.epoch && open.epoch <= line.last) ++active;
        }
        assert(active == open.accounts);
    }

    function _sealOneEpoch() private {
        for (uint8 i; i < 4; ++i) _market.deposit(i, 10_000_000);
        _market.seal(0, 0, 100, true, 3);
        assert(_market.versions() == 4);
        _market.wait(4);
        for (uint8 i; i < 3; ++i) _market.post(i, 1, 3);
        _market.close();
        assert(_registry.rebate().due);
    }
}
