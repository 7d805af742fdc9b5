// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IStorageMarket} from "../src/interfaces/IStorageMarket.sol";
import {Market} from "./Market.sol";
import {VM} from "./Vm.sol";

/// @title What miners, their peers and the council may do about bonds, audits and places on the roster.
abstract contract Keepers is Market {
    uint256 private constant ALL_SHOWED = 7;

    uint256 public unbonded;
    uint256 public earnings;
    uint256 public absences;
    uint256 public answers;

    function condemn(uint8 who) external {
        _agree(who, IStorageMarket.Verdict.Failed);
    }

    function missAudit(uint8 who) external {
        _agree(who, IStorageMarket.Verdict.Absent);
    }

    function answerAtLast(uint8 who, uint64 epoch) external {
        epoch %= registry.openEpoch().epoch + 1;
        for (uint256 i; i < MINERS; ++i) _attest(i, who, epoch, IStorageMarket.Verdict.Answered, 0);
    }

    /// @dev Any word of anybody, also of those who have none.
    function attest(uint8 peer, uint8 who, uint64 epoch, uint8 verdict, uint8 shownBy) external {
        _attest(peer, who, epoch % (registry.openEpoch().epoch + 1), IStorageMarket.Verdict(verdict % 4), shownBy);
    }

    /// @dev What is asked beyond the rule is refused, everything else leaves at once; a pause changes nothing.
    function unbond(uint8 who, uint128 amount) external {
        address account = miner(who);
        uint256 held = storageMarket.bondOf(account);
        amount %= uint128(held + 2);
        uint256 audited = (storageMarket.minedUntil(account) + 1) * K + 2 * AUDIT_SLOTS;
        bool allowed = amount <= held
            && (_isEnrolled(account) ? held - amount >= 100 : registry.currentSlot() > audited);
        VM.prank(account);
        try storageMarket.unbond(amount) {
            assert(allowed);
            unbonded += amount;
        } catch {
            assert(!allowed);
        }
    }

    function withdrawEarnings(uint8 who) external {
        uint128 held = registry.account(miner(who)).balance;
        VM.prank(miner(who));
        registry.withdraw(held);
        earnings += held;
    }

    function retireOrReturn(uint8 who) external {
        if (!_isEnrolled(miner(who))) return price(who, 9);
        _council(address(storageMarket), abi.encodeCall(storageMarket.retire, (miner(who))));
    }

    function dismissOrHire(uint8 who) external {
        address account = miner(who);
        if (consortium.rolesOf(account) == 0) _admit(account, USERS + who % MINERS, 2);
        else _council(address(consortium), abi.encodeCall(consortium.remove, (account)));
    }

    function _isEnrolled(address account) private view returns (bool enrolled) {
        (, address[] memory miners,) = storageMarket.roster();
        for (uint256 i; i < miners.length; ++i) enrolled = enrolled || miners[i] == account;
    }

    /// @dev All others say the same of the epoch that was closed last.
    function _agree(uint8 who, IStorageMarket.Verdict verdict) private {
        uint64 open = registry.openEpoch().epoch;
        if (open == 0) return;
        for (uint256 i; i < MINERS; ++i) _attest(i, who, open - 1, verdict, ALL_SHOWED);
    }

    /// @dev Only a verdict of failure costs anything: the credits of that epoch and one penalty, once.
    function _attest(uint256 peer, uint256 who, uint64 epoch, IStorageMarket.Verdict verdict, uint256 shownBy) private {
        address account = miner(who);
        IStorageMarket.Verdict before = storageMarket.verdictOf(epoch, account);
        (uint256 held, uint256 credit) = (storageMarket.bondOf(account), registry.creditOf(account, epoch));
        VM.prank(miner(peer));
        try storageMarket.attest(epoch, account, verdict, shownBy) {} catch {}
        IStorageMarket.Verdict reached = storageMarket.verdictOf(epoch, account);
        uint256 lost = held - storageMarket.bondOf(account);
        if (reached == before || reached != IStorageMarket.Verdict.Failed) {
            assert(lost == 0 && registry.creditOf(account, epoch) == credit);
        } else {
            assert(lost == (held < 60 ? held : 60) && registry.creditOf(account, epoch) == 0);
            penalties += lost;
            paidOut[account][epoch] += credit;
            ++forfeitures;
        }
        if (reached == before) return;
        if (reached == IStorageMarket.Verdict.Absent) ++absences;
        if (reached == IStorageMarket.Verdict.Answered) ++answers;
    }
}
