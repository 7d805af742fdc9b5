// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The origin of a chain log: `<chainId>/<registry in EIP-55>`.
library LogOrigin {
    bytes16 private constant HEX = "0123456789abcdef";

    function chainLog(uint256 chainId, address registry) internal pure returns (string memory) {
        return string.concat(_decimal(chainId), "/0x", _checksummed(registry));
    }

    function _decimal(uint256 value) private pure returns (string memory) {
        uint256 length = 1;
        for (uint256 rest = value / 10; rest != 0; rest /= 10) ++length;
        bytes memory digits = new bytes(length);
        for (; length != 0; value /= 10) digits[--length] = bytes1(uint8(48 + value % 10));
        return string(digits);
    }

    /// @dev EIP-55: a letter is a capital when the same digit of keccak256(the lower-case text) is above 7.
    function _checksummed(address account) private pure returns (string memory) {
        bytes memory text = new bytes(40);
        for (uint256 i; i < 40; ++i) text[i] = HEX[(uint160(account) >> (156 - 4 * i)) & 15];
        uint256 digest = uint256(keccak256(text));
        for (uint256 i; i < 40; ++i) {
            if (text[i] > "9" && (digest >> (252 - 4 * i)) & 15 > 7) text[i] = bytes1(uint8(text[i]) - 32);
        }
        return string(text);
    }
}
