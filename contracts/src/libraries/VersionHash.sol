// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ITwinRegistry} from "../interfaces/ITwinRegistry.sol";

/// @title EIP-712 types, and the hash of a version; SealDesk hashes submissions.
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

    /// @dev The struct's words lie in calldata in the order EIP-712 hashes them, so they are copied at once;
    /// field by field this costs 700 gas more per item. Dirty high bits revert where a field is read.
    function version(ITwinRegistry.Version calldata v) internal pure returns (bytes32 versionId) {
        bytes32[] calldata parents = v.parents;
        bytes32 typehash = VERSION_TYPEHASH;
        assembly ("memory-safe") {
            let m := mload(0x40)
            let size := shl(5, parents.length)
            calldatacopy(m, parents.offset, size)
            let lineage := keccak256(m, size)
            mstore(m, typehash)
            calldatacopy(add(m, 0x20), v, 0x100)
            mstore(add(m, 0xa0), lineage)
            versionId := keccak256(m, 0x120)
        }
    }

    function domainSeparator() internal view returns (bytes32) {
        return keccak256(
            abi.encode(DOMAIN_TYPEHASH, keccak256("TwinLedger"), keccak256("1"), block.chainid, address(this))
        );
    }

    function model(uint64 namespaceId, bytes32 nameHash) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(namespaceId, nameHash));
    }
}
