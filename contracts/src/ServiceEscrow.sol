// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IServiceEscrow} from "./interfaces/IServiceEscrow.sol";
import {PoolPayments} from "./PoolPayments.sol";

/// @title The other payees: one flow, offer → award → attest → pay, for aggregators, hosts, gateways and operators.
abstract contract ServiceEscrow is PoolPayments {
    uint256 private constant MAX_OFFERS = 64;
    uint8 private constant PASSED = 1;
    uint8 private constant FAILED = 2;
    uint8 private constant PAID = 4;

    Offer[] private _offers;
    Service[] private _services;
    mapping(bytes32 job => mapping(Kind => uint64[])) private _offersOf;
    mapping(uint64 serviceId => mapping(uint32 epoch => uint8)) private _epochs;

    // ------------------------------------------------------------------ offers

    /// @inheritdoc IServiceEscrow
    function offer(bytes32 job, Kind kind, uint128 price)
        external
        payable
        override
        whenRunning
        returns (uint64 offerId)
    {
        _requireRole(msg.sender, _roleOf(kind));
        uint64[] storage listed = _offersOf[job][kind];
        if (listed.length == MAX_OFFERS) revert TooManyOffers(MAX_OFFERS + 1, MAX_OFFERS);
        uint128 bond = _value128();
        _offers.push(Offer(msg.sender, kind, true, job, price, bond));
        offerId = uint64(_offers.length);
        listed.push(offerId);
        emit ServiceOffered(offerId, msg.sender, job, kind, price, bond);
    }

    /// @inheritdoc IServiceEscrow
    function withdrawOffer(uint64 offerId) external override {
        Offer storage chosen = _offer(offerId);
        if (chosen.provider != msg.sender) revert NotOfferProvider(msg.sender, chosen.provider);
        if (!chosen.standing) revert OfferNotStanding(offerId);
        uint128 bond = chosen.bond;
        (chosen.standing, chosen.bond) = (false, 0);
        emit OfferWithdrawn(offerId, msg.sender, bond);
        _send(msg.sender, bond);
    }

    function _roleOf(Kind kind) private pure returns (uint16) {
        if (kind == Kind.Aggregation) return AGGREGATOR;
        return kind == Kind.Hosting ? HOST : GATEWAY | OPERATOR;
    }

    // ------------------------------------------------------------------ awards

    /// @inheritdoc IServiceEscrow
    function award(bytes32 job, Kind kind, uint128[] calldata values, AwardTerms calldata terms)
        external
        payable
        override
        whenRunning
        returns (uint64)
    {
        if (kind == Kind.Connectivity) revert InvalidAward("kind", uint256(kind));
        if (terms.units != 1) revert InvalidAward("units", terms.units);
        (uint64 winner, uint128 payment) = _secondScore(job, kind, values, terms);
        return _begin(winner, payment, terms);
    }

    /// @inheritdoc IServiceEscrow
    function take(uint64 offerId, uint128 priceLimit, AwardTerms calldata terms)
        external
        payable
        override
        whenRunning
        returns (uint64)
    {
        Offer storage chosen = _offer(offerId);
        if (chosen.kind != Kind.Connectivity) revert InvalidAward("kind", uint256(chosen.kind));
        if (!chosen.standing) revert OfferNotStanding(offerId);
        if (chosen.price > priceLimit) revert PriceAboveLimit(chosen.price, priceLimit);
        if (terms.units == 0) revert InvalidAward("units", 0);
        uint256 payment = uint256(chosen.price) * terms.units;
        if (payment > type(uint128).max) revert TotalTooLarge(payment, type(uint128).max);
        return _begin(offerId, uint128(payment), terms);
    }

    /// @dev The best score wins, ties go to the lower address; paid value − max(reserve, runner-up's score).
    function _secondScore(bytes32 job, Kind kind, uint128[] calldata values, AwardTerms calldata terms)
        private
        view
        returns (uint64 winner, uint128 payment)
    {
        uint64[] storage listed = _offersOf[job][kind];
        if (values.length != listed.length) revert ValuesMissing(values.length, listed.length);
        uint256 best;
        uint256 second = terms.reserve;
        uint256 place;
        for (uint256 i; i < values.length; ++i) {
            Offer storage one = _offers[listed[i] - 1];
            if (!one.standing || one.bond < terms.minimumBond || values[i] < one.price) continue;
            uint256 score = values[i] - one.price;
            if (score < terms.reserve) continue;
            bool leads = winner == 0 || score > best
                || (score == best && one.provider < _offers[winner - 1].provider);
            if (leads) {
                if (winner != 0) second = best;
                (winner, best, place) = (listed[i], score, i);
            } else if (score > second) {
                second = score;
            }
        }
        if (winner == 0) revert NoOfferAccepted(job);
        payment = uint128(values[place] - second);
    }

    function _begin(uint64 offerId, uint128 payment, AwardTerms calldata terms) private returns (uint64 serviceId) {
        Offer storage chosen = _offer(offerId);
        (address provider, uint128 bond) = (chosen.provider, chosen.bond);
        if (terms.epochs == 0) revert InvalidAward("epochs", 0);
        if (terms.deadline <= block.timestamp) revert InvalidAward("deadline", terms.deadline);
        // Whoever gains from a verdict cannot be the one who gives it.
        if (terms.attestor == address(0) || terms.attestor == provider || terms.attestor == msg.sender) {
            revert InvalidAward("attestor", uint160(terms.attestor));
        }
        if (bond < terms.minimumBond) revert WrongBond(bond, terms.minimumBond);
        uint256 wage = uint256(payment) + terms.bonus;
        uint256 escrow = wage * terms.epochs;
        if (escrow > type(uint128).max) revert TotalTooLarge(escrow, type(uint128).max);
        if (msg.value < escrow) revert EscrowTooSmall(msg.value, escrow);
        (chosen.standing, chosen.bond) = (false, 0);
        _services.push(
            Service({
                requester: msg.sender,
                provider: provider,
                attestor: terms.attestor,
                offerId: offerId,
                epochs: terms.epochs,
                open: terms.epochs,
                deadline: terms.deadline,
                ended: false,
                wage: uint128(wage),
                held: uint128(escrow),
                bond: bond
            })
        );
        serviceId = uint64(_services.length);
        emit ServiceAwarded(serviceId, msg.sender, provider, offerId, terms, uint128(wage), uint128(escrow));
        _send(msg.sender, msg.value - escrow);
    }

    // ------------------------------------------------------------------ attest, pay

    /// @inheritdoc IServiceEscrow
    function attest(uint64 serviceId, uint32 epoch, bool passed) external override {
        Service storage one = _running(serviceId);
        if (msg.sender != one.attestor) revert NotAttestor(msg.sender, one.attestor);
        if (block.timestamp > one.deadline) revert ServiceOver(serviceId);
        if (epoch >= one.epochs) revert EpochOutOfRange(epoch, one.epochs);
        if (_epochs[serviceId][epoch] != 0) revert EpochAlreadyAttested(serviceId, epoch);
        _epochs[serviceId][epoch] = passed ? PASSED : FAILED;
        if (!passed) --one.open;
        emit ServiceAttested(serviceId, epoch, msg.sender, passed);
    }

    /// @inheritdoc IServiceEscrow
    function pay(uint64 serviceId, uint32 epoch) external override {
        Service storage one = _running(serviceId);
        uint8 flags = _epochs[serviceId][epoch];
        if (flags & PASSED == 0) revert EpochNotPassed(serviceId, epoch);
        if (flags & PAID != 0) revert EpochAlreadyPaid(serviceId, epoch);
        _epochs[serviceId][epoch] = flags | PAID;
        --one.open;
        one.held -= one.wage;
        emit ServicePaid(serviceId, epoch, one.provider, one.wage);
        _send(one.provider, one.wage);
    }

    /// @inheritdoc IServiceEscrow
    function slash(uint64 serviceId, string calldata reason) external override onlyConsortium {
        if (bytes(reason).length == 0) revert ReasonRequired();
        Service storage one = _running(serviceId);
        (uint256 bond, uint256 held) = (one.bond, one.held);
        (one.ended, one.bond, one.held) = (true, 0, 0);
        emit ServiceSlashed(serviceId, one.provider, bond, reason);
        emit ServiceEnded(serviceId, held, 0);
        _send(one.requester, bond + held);
    }

    /// @inheritdoc IServiceEscrow
    function end(uint64 serviceId) external override {
        Service storage one = _running(serviceId);
        if (one.open != 0 && block.timestamp <= one.deadline) revert ServiceRunning(serviceId, one.deadline);
        (uint256 bond, uint256 held) = (one.bond, one.held);
        (one.ended, one.bond, one.held) = (true, 0, 0);
        emit ServiceEnded(serviceId, held, bond);
        _send(one.requester, held);
        _send(one.provider, bond);
    }

    function _offer(uint64 offerId) private view returns (Offer storage) {
        if (offerId == 0 || offerId > _offers.length) revert UnknownOffer(offerId);
        return _offers[offerId - 1];
    }

    function _service(uint64 serviceId) private view returns (Service storage) {
        if (serviceId == 0 || serviceId > _services.length) revert UnknownService(serviceId);
        return _services[serviceId - 1];
    }

    function _running(uint64 serviceId) private view returns (Service storage one) {
        one = _service(serviceId);
        if (one.ended) revert ServiceOver(serviceId);
    }

    // ------------------------------------------------------------------ views

    /// @inheritdoc IServiceEscrow
    function offerOf(uint64 offerId) external view override returns (Offer memory) {
        return _offer(offerId);
    }

    /// @inheritdoc IServiceEscrow
    function offersOf(bytes32 job, Kind kind) external view override returns (uint64[] memory) {
        return _offersOf[job][kind];
    }

    /// @inheritdoc IServiceEscrow
    function serviceOf(uint64 serviceId) external view override returns (Service memory) {
        return _service(serviceId);
    }

    /// @inheritdoc IServiceEscrow
    function epochOf(uint64 serviceId, uint32 epoch)
        external
        view
        override
        returns (bool attested, bool passed, bool paid)
    {
        uint8 flags = _epochs[serviceId][epoch];
        return (flags != 0, flags & PASSED != 0, flags & PAID != 0);
    }
}
