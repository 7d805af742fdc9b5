// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Consortium} from "../src/Consortium.sol";
import {IConsortium} from "../src/interfaces/IConsortium.sol";
import {IFeeMarket} from "../src/interfaces/IFeeMarket.sol";
import {StorageMarket} from "../src/StorageMarket.sol";
import {TwinRegistry} from "../src/TwinRegistry.sol";
import {VM} from "./Vm.sol";

/// @title A council of up to seven that governs itself and everybody's roles, beside a model of what it decided.
/// @dev The model is plain: who sits, who said yes to what, who has which roles. Each act is predicted by it.
contract Seats {
    uint256 public constant PEOPLE = 7;
    uint16 private constant COUNCIL = 1 << 11;
    uint16 private constant ALL = (1 << 12) - 1;

    enum Kind {
        Admit,
        SetRoles,
        Remove,
        Pause,
        Unpause,
        Replace
    }

    struct Motion {
        Kind kind;
        address whom;
        uint16 roles;
        uint8 seats; // bit i: person i sits
        uint8 threshold;
        bool executed;
    }

    Consortium public consortium;
    TwinRegistry public registry;
    uint8 public seats = 7;
    uint256 public threshold = 1;
    bool public paused;
    uint256 public decided;
    uint256 public refused;
    Motion[] private _motions; // motion i is proposal i + 2: the first connected the contracts
    mapping(uint256 => uint8) public yes;
    mapping(address => uint16) public rolesOf;

    constructor() {
        address[] memory members = _listed(seats);
        consortium = new Consortium(members, threshold, address(0));
        registry = new TwinRegistry(
            address(consortium), IFeeMarket.FeeParams(4, 10, 2, 64, 1, 40, 10, 12, 5, 100_000, 2, 0, 1, 50_000)
        );
        StorageMarket storage_ = new StorageMarket(address(consortium), address(registry), 6, 1 << 20, 100, 60);
        VM.prank(person(0));
        consortium.propose(
            address(consortium),
            abi.encodeCall(consortium.connect, (address(registry), address(storage_), address(0), address(0))),
            "because"
        );
        for (uint256 i; i < 3; ++i) rolesOf[person(i)] = COUNCIL;
    }

    function person(uint256 i) public pure returns (address) {
        return VM.addr(200 + i % PEOPLE);
    }

    // ------------------------------------------------------------------ acts

    function propose(uint8 who, uint8 kind, uint8 whom, uint16 roles, uint8 seats_, uint8 threshold_) external {
        // Bit 15 makes roles no contract knows; the council's own bit comes up by chance.
        Motion memory motion =
            Motion(Kind(kind % 6), person(whom), roles & 0x8fff, seats_ & 127, threshold_ % 5, false);
        bool passes = threshold == 1;
        bool allowed = _sits(person(who)) && (!passes || _isLawful(motion));
        VM.prank(person(who));
        try consortium.propose(address(consortium), _call(motion), "because") returns (uint256 number) {
            assert(allowed && number == _motions.length + 2);
            _motions.push(motion);
            yes[number] = uint8(1 << who % PEOPLE);
            if (passes) _carryOut(number);
        } catch {
            assert(!allowed);
            ++refused;
        }
    }

    function approve(uint8 who, uint256 which) external {
        if (_motions.length == 0) return;
        uint256 number = which % _motions.length + 2;
        uint8 bit = uint8(1 << who % PEOPLE);
        bool fresh = yes[number] & bit == 0;
        bool passes = _count((yes[number] | bit) & seats) >= threshold;
        bool allowed = _sits(person(who)) && fresh && _isOpen(number) && (!passes || _isLawful(_motions[number - 2]));
        VM.prank(person(who));
        try consortium.approve(number) {
            assert(allowed);
            yes[number] |= bit;
            if (passes) _carryOut(number);
        } catch {
            assert(!allowed);
            ++refused;
        }
    }

    function execute(uint8 who, uint256 which) external {
        if (_motions.length == 0) return;
        uint256 number = which % _motions.length + 2;
        bool allowed = _sits(person(who)) && _isOpen(number) && _count(yes[number] & seats) >= threshold
            && _isLawful(_motions[number - 2]);
        VM.prank(person(who));
        try consortium.execute(number) {
            assert(allowed);
            _carryOut(number);
        } catch {
            assert(!allowed);
            ++refused;
        }
    }

    /// @dev What needs a decision is nobody's to do alone, a council member's neither.
    function actAlone(uint8 who, uint8 kind, uint8 whom, uint16 roles, uint8 seats_, uint8 threshold_) external {
        Motion memory motion = Motion(Kind(kind % 6), person(whom), roles, seats_ & 127, threshold_, false);
        VM.prank(person(who));
        (bool done, bytes memory why) = address(consortium).call(_call(motion));
        assert(!done && bytes4(why) == IConsortium.OnlyCouncil.selector);
    }

    // ------------------------------------------------------------------ the model

    function _carryOut(uint256 number) private {
        Motion storage motion = _motions[number - 2];
        (motion.executed, decided) = (true, decided + 1);
        uint16 seat = rolesOf[motion.whom] & COUNCIL;
        if (motion.kind == Kind.Pause || motion.kind == Kind.Unpause) paused = motion.kind == Kind.Pause;
        else if (motion.kind == Kind.Remove) rolesOf[motion.whom] = seat;
        else if (motion.kind != Kind.Replace) rolesOf[motion.whom] = motion.roles | seat;
        if (motion.kind != Kind.Replace) return;
        (seats, threshold) = (motion.seats, motion.threshold);
        for (uint256 i; i < PEOPLE; ++i) {
            uint16 others = rolesOf[person(i)] & ~COUNCIL;
            rolesOf[person(i)] = seats >> i & 1 == 1 ? others | COUNCIL : others;
        }
    }

    function _isLawful(Motion memory motion) private view returns (bool) {
        uint16 held = rolesOf[motion.whom];
        if (motion.kind == Kind.Pause) return !paused;
        if (motion.kind == Kind.Unpause) return paused;
        if (motion.kind == Kind.Replace) return motion.threshold != 0 && motion.threshold <= _count(motion.seats);
        if (motion.kind == Kind.Remove) return held & ~COUNCIL != 0;
        bool known = motion.roles & ~ALL == 0 && motion.roles & ~COUNCIL != 0;
        bool seated = motion.roles & COUNCIL == 0 || held & COUNCIL != 0;
        return known && seated && (held & ~COUNCIL == 0) == (motion.kind == Kind.Admit);
    }

    function _call(Motion memory motion) private view returns (bytes memory) {
        if (motion.kind == Kind.Admit) return abi.encodeCall(consortium.admit, (motion.whom, "org", motion.roles));
        if (motion.kind == Kind.SetRoles) return abi.encodeCall(consortium.setRoles, (motion.whom, motion.roles));
        if (motion.kind == Kind.Remove) return abi.encodeCall(consortium.remove, (motion.whom));
        if (motion.kind == Kind.Pause) return abi.encodeCall(consortium.pause, ());
        if (motion.kind == Kind.Unpause) return abi.encodeCall(consortium.unpause, ());
        return abi.encodeCall(consortium.setCouncil, (_listed(motion.seats), motion.threshold));
    }

    function _sits(address account) private view returns (bool) {
        return rolesOf[account] & COUNCIL != 0;
    }

    function _isOpen(uint256 number) private view returns (bool) {
        return !_motions[number - 2].executed;
    }

    function _listed(uint8 bits) private pure returns (address[] memory list) {
        list = new address[](_count(bits));
        uint256 next;
        for (uint256 i; i < PEOPLE; ++i) {
            if (bits >> i & 1 == 1) list[next++] = person(i);
        }
    }

    function _count(uint8 bits) private pure returns (uint256 count) {
        for (; bits != 0; bits &= bits - 1) ++count;
    }

    // ------------------------------------------------------------------ the comparison

    function motions() external view returns (uint256) {
        return _motions.length;
    }

    /// @notice Whether proposal `number` stands as the model has it.
    function agreesOn(uint256 number) external view returns (bool) {
        return consortium.proposal(number).executed == _motions[number - 2].executed
            && consortium.approvals(number) == _count(yes[number] & seats);
    }

    function seated() external view returns (address[] memory) {
        return _listed(seats);
    }
}

/// @title Nothing is decided by fewer than k of the n that sit now, and everything that is decided is done.
contract CouncilInvariants {
    Seats private _seats;

    function setUp() external {
        _seats = Seats(VM.deployCode("Council.t.sol:Seats"));
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_seats);
    }

    function invariant_theCouncilIsItsModel() external view {
        Consortium consortium = _seats.consortium();
        address[] memory council = consortium.council();
        assert(keccak256(abi.encode(council)) == keccak256(abi.encode(_seats.seated())));
        assert(consortium.threshold() == _seats.threshold() && consortium.paused() == _seats.paused());
        for (uint256 i; i < _seats.PEOPLE(); ++i) {
            address account = _seats.person(i);
            uint16 roles = _seats.rolesOf(account);
            assert(consortium.rolesOf(account) == roles && consortium.isCouncil(account) == (roles >> 11 == 1));
            assert(_seats.registry().account(account).roles == roles);
        }
        assert(consortium.proposalCount() == _seats.motions() + 1);
        for (uint256 i; i < _seats.motions(); ++i) assert(_seats.agreesOn(i + 2));
    }

    function test_theActsReachWhatTheCouncilMayDo() external {
        _seats.propose(0, 0, 4, 3, 0, 0);
        _seats.propose(0, 5, 0, 0, 31, 3);
        assert(_seats.threshold() == 3 && _seats.decided() == 2);
        _seats.propose(1, 3, 0, 0, 0, 0);
        _seats.approve(4, 2);
        _seats.approve(5, 2);
        assert(!_seats.paused() && _seats.refused() == 1);
        _seats.execute(0, 2);
        _seats.approve(2, 2);
        assert(_seats.paused() && _seats.refused() == 2);
        _seats.actAlone(0, 4, 0, 0, 0, 0);
        this.invariant_theCouncilIsItsModel();
    }
}
