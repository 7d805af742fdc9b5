// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ITwinRegistry} from "../interfaces/ITwinRegistry.sol";

/// @title EIP-712 hashes of versions and submissions, and whose signature stands under them.
library VersionHash {
    bytes internal constant VERSION_TYPE =
        "Version(uint64 namespaceId,bytes32 nameHash,bytes32 weightsRoot,bytes32 manifest,bytes32[] parents,uint64 size,bytes32 salt,address submitter)";
    bytes32 internal constant VERSION_TYPEHASH = keccak256(VERSION_TYPE);
    bytes32 internal constant SUBMISSION_TYPEHASH = keccak256(
        abi.encodePacked(
            "Submission(Version version,uint8 feeClass,uint128 maxPrice,uint64 issuedAt,uint64 deadline)", VERSION_TYPE
        )
    );
    bytes32 internal constant DOMAIN_TYPEHASH =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    // Half the order of secp256k1: of the two signatures (s, n - s) only the lower one is taken.
    uint256 internal constant HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0;

    function version(ITwinRegistry.Version calldata v) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                VERSION_TYPEHASH,
                v.namespaceId,
                v.nameHash,
                v.weightsRoot,
                v.manifest,
                keccak256(abi.encodePacked(v.parents)),
                v.size,
                v.salt,
                v.submitter
            )
        );
    }

    /// @notice The digest that a submitter signs, given the hash of the version inside.
    function submission(ITwinRegistry.Submission calldata s, bytes32 versionId, bytes32 domain)
        internal
        pure
        returns (bytes32)
    {
        bytes32 hash = keccak256(
            abi.encode(SUBMISSION_TYPEHASH, versionId, s.feeClass, s.maxPrice, s.issuedAt, s.deadline)
        );
        return keccak256(abi.encodePacked(hex"1901", domain, hash));
    }

    function domainSeparator() internal view returns (bytes32) {
        return keccak256(
            abi.encode(DOMAIN_TYPEHASH, keccak256("TwinLedger"), keccak256("1"), block.chainid, address(this))
        );
    }

    function model(uint64 namespaceId, bytes32 nameHash) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(namespaceId, nameHash));
    }

    /// @notice Who signed, zero for a signature that is not one or is malleable.
    function signer(bytes32 digest, ITwinRegistry.Signature calldata signature) internal pure returns (address) {
        uint256 vs = uint256(signature.vs);
        uint256 s = vs & (type(uint256).max >> 1);
        if (s > HALF_ORDER) return address(0);
        return ecrecover(digest, uint8(27 + (vs >> 255)), signature.r, bytes32(s));
    }
}
