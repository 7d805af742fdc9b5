// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Aggregators, hosts of twin objects, gateways and SDN operators: offer → award → attest → pay.
/// @notice A provider offers to do a job at a price, with a bond. The requester awards it, funding every payment it
/// can ever make. An attestor who is neither says per epoch whether the service was given; a passed epoch is paid
/// to the provider, a failed one never is. What is left at the deadline goes back to the requester.
/// @dev An aggregation or hosting job goes to the best score (value − price, ties to the lower address), paid
/// value − max(reserve, runner-up's score): no unilateral lie about a price gains. The values are the requester's,
/// by a rule it published under `job`; the contract makes it value every offer, so none can be left out. A
/// connectivity offer is a posted price per rate unit that the requester takes or leaves.
interface IServiceEscrow {
    enum Kind {
        Aggregation,
        Hosting,
        Connectivity
    }

    /// @param job Any 32 bytes the requester named: the digest of what is wanted.
    struct Offer {
        address provider;
        Kind kind;
        bool standing;
        bytes32 job;
        uint128 price;
        uint128 bond;
    }

    /// @param units Rate units of a connectivity job; 1 for the others.
    /// @param reserve The least score that is taken; not for connectivity.
    struct AwardTerms {
        address attestor;
        uint32 epochs;
        uint48 deadline;
        uint128 units;
        uint128 reserve;
        uint128 minimumBond;
        uint128 bonus;
    }

    /// @dev wage: per passed epoch, bonus included. held: what the service may still pay. open: epochs neither paid
    /// nor attested as failed.
    struct Service {
        address requester;
        address provider;
        address attestor;
        uint64 offerId;
        uint32 epochs;
        uint32 open;
        uint48 deadline;
        bool ended;
        uint128 wage;
        uint128 held;
        uint128 bond;
    }

    event ServiceOffered(
        uint64 indexed offerId, address indexed provider, bytes32 indexed job, Kind kind, uint128 price, uint128 bond
    );
    event OfferWithdrawn(uint64 indexed offerId, address indexed provider, uint128 bond);
    event ServiceAwarded(
        uint64 indexed serviceId,
        address indexed requester,
        address indexed provider,
        uint64 offerId,
        AwardTerms terms,
        uint128 wage,
        uint128 escrow
    );
    event ServiceAttested(uint64 indexed serviceId, uint32 indexed epoch, address indexed attestor, bool passed);
    event ServicePaid(uint64 indexed serviceId, uint32 indexed epoch, address indexed provider, uint256 amount);
    event ServiceSlashed(uint64 indexed serviceId, address indexed provider, uint256 bond, string reason);
    event ServiceEnded(uint64 indexed serviceId, uint256 refunded, uint256 bond);
    event PaymentOwed(address indexed account, uint256 amount);
    event OwedWithdrawn(address indexed account, uint256 amount);

    error InvalidAward(string field, uint256 value);
    error UnknownOffer(uint64 offerId);
    error UnknownService(uint64 serviceId);
    error NotOfferProvider(address caller, address provider);
    error OfferNotStanding(uint64 offerId);
    error TooManyOffers(uint256 offers, uint256 limit);
    error ValuesMissing(uint256 values, uint256 offers);
    error NoOfferAccepted(bytes32 job);
    error PriceAboveLimit(uint256 price, uint256 limit);
    error NotAttestor(address caller, address attestor);
    error EpochOutOfRange(uint32 epoch, uint32 epochs);
    error EpochAlreadyAttested(uint64 serviceId, uint32 epoch);
    error EpochNotPassed(uint64 serviceId, uint32 epoch);
    error EpochAlreadyPaid(uint64 serviceId, uint32 epoch);
    error ServiceOver(uint64 serviceId);
    error ServiceRunning(uint64 serviceId, uint48 deadline);
    error NothingOwed(address account);
    error PaymentFailed(address account, uint256 amount);

    /// @notice Offer to do a job; the value sent is the bond. Needs the aggregator, host, or gateway or operator role.
    /// @param price For the whole epoch of an aggregation or hosting job; per rate unit and epoch for connectivity.
    function offer(bytes32 job, Kind kind, uint128 price) external payable returns (uint64 offerId);

    /// @notice Take an offer back, with its bond, while it is not awarded.
    function withdrawOffer(uint64 offerId) external;

    /// @notice Award an aggregation or hosting job by second score over all its standing offers.
    /// @param values The job's value by each offer of `offersOf(job, kind)`, in that order. Offers whose bond is below
    /// minimumBond, and withdrawn ones, do not take part. The value sent covers epochs × (payment + bonus); the rest
    /// comes back.
    function award(bytes32 job, Kind kind, uint128[] calldata values, AwardTerms calldata terms)
        external
        payable
        returns (uint64 serviceId);

    /// @notice Take a connectivity offer at its posted price, which may not exceed `priceLimit`.
    function take(uint64 offerId, uint128 priceLimit, AwardTerms calldata terms)
        external
        payable
        returns (uint64 serviceId);

    /// @notice The attestor's word on one epoch, counted from 0; final.
    function attest(uint64 serviceId, uint32 epoch, bool passed) external;

    /// @notice Pay the provider for a passed epoch; anyone may send it.
    function pay(uint64 serviceId, uint32 epoch) external;

    /// @notice Council: a proven fraud. The bond and what is held go to the requester.
    function slash(uint64 serviceId, string calldata reason) external;

    /// @notice After the deadline, or once every epoch is attested and the passed ones paid: the rest to the
    /// requester, the bond to the provider.
    function end(uint64 serviceId) external;

    /// @notice Send again what could not be delivered: a payment to an account that refused it is kept for it here.
    function withdrawOwed(address account) external;

    function owedTo(address account) external view returns (uint256);

    function offerOf(uint64 offerId) external view returns (Offer memory);

    function offersOf(bytes32 job, Kind kind) external view returns (uint64[] memory);

    function serviceOf(uint64 serviceId) external view returns (Service memory);

    /// @notice What became of an epoch; all are false before the attestor has spoken.
    function epochOf(uint64 serviceId, uint32 epoch) external view returns (bool attested, bool passed, bool paid);
}
