// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title What a namespace, a cell and an alias may be called: `[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?`.
library Names {
    uint256 internal constant LONGEST = 64;

    /// @notice Whether the text is a name at all.
    function isName(string calldata text) internal pure returns (bool) {
        bytes calldata letters = bytes(text);
        uint256 n = letters.length;
        if (n == 0 || n > LONGEST || !_isAlphanumeric(letters[0]) || !_isAlphanumeric(letters[n - 1])) return false;
        for (uint256 i = 1; i < n; ++i) {
            bytes1 c = letters[i];
            if (!_isAlphanumeric(c) && c != "." && c != "_" && c != "-") return false;
        }
        return true;
    }

    /// @notice A name that cannot be taken for a VersionId.
    function isNamespace(string calldata text) internal pure returns (bool) {
        return isName(text) && !_startsLikeHex(bytes(text));
    }

    /// @notice A name that cannot be taken for a VersionId, a number `v7` or the word `latest`.
    function isAlias(string calldata text) internal pure returns (bool) {
        return isNamespace(text) && !_isNumber(bytes(text)) && keccak256(bytes(text)) != keccak256("latest");
    }

    function _isAlphanumeric(bytes1 c) private pure returns (bool) {
        return (c >= "a" && c <= "z") || (c >= "0" && c <= "9");
    }

    function _startsLikeHex(bytes calldata letters) private pure returns (bool) {
        return letters.length >= 2 && letters[0] == "0" && letters[1] == "x";
    }

    function _isNumber(bytes calldata letters) private pure returns (bool) {
        if (letters.length < 2 || letters[0] != "v") return false;
        for (uint256 i = 1; i < letters.length; ++i) {
            if (letters[i] < "0" || letters[i] > "9") return false;
        }
        return true;
    }
}
