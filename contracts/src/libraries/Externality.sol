// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title What one more byte made others wait, read from headers and backlog bitmaps.
/// @notice Remove one included byte, and one waiting byte moves up in each following slot until nothing waits:
/// the externality of a slot is the length of the run of slots with a backlog that begins there.
library Externality {
    struct Backlog {
        uint128 priorH; // epoch e-1, bit i = slot i
        uint128 priorAny;
        uint128 nextH; // epoch e
        uint128 nextAny;
    }

    struct Weights {
        uint256 gH;
        uint256 gL;
        uint256 runCap;
    }

    struct Sums {
        uint256 weightedH;
        uint256 weightedL;
        uint256 bytesH;
        uint256 bytesL;
        uint256 plainH;
        uint256 plainL;
    }

    /// @notice The mean externality per class over epoch e-1, weighted by its bytes, runs read on through e.
    /// @param headers one word per slot of e-1: bytes of H << 64 | bytes of L
    function estimate(uint256[] memory headers, Backlog memory backlog, Weights memory weights)
        internal
        pure
        returns (uint256 estH, uint256 estL)
    {
        // A run that begins in e-1 needs a backlog in e-1.
        if (backlog.priorAny == 0) return (0, 0);
        uint256 slots = headers.length;
        Sums memory sums;
        uint256 runH;
        uint256 runAny;
        for (uint256 k = slots; k > 0; --k) {
            (runH, runAny) = _extend(runH, runAny, backlog.nextH, backlog.nextAny, k - 1, weights.runCap);
        }
        for (uint256 k = slots; k > 0; --k) {
            (runH, runAny) = _extend(runH, runAny, backlog.priorH, backlog.priorAny, k - 1, weights.runCap);
            _add(sums, headers[k - 1], weights.gH * runH + weights.gL * (runAny - runH), weights.gL * runAny);
        }
        estH = sums.bytesH > 0 ? sums.weightedH / sums.bytesH : sums.plainH / slots;
        estL = sums.bytesL > 0 ? sums.weightedL / sums.bytesL : sums.plainL / slots;
    }

    /// @notice The lower median: a minority of high values cannot raise it above an honest one. Sorts in place.
    function lowerMedian(uint256[] memory values) internal pure returns (uint256) {
        uint256 n = values.length;
        if (n == 0) return 0;
        for (uint256 i = 1; i < n; ++i) {
            uint256 value = values[i];
            uint256 j = i;
            for (; j > 0 && values[j - 1] > value; --j) {
                values[j] = values[j - 1];
            }
            values[j] = value;
        }
        return values[(n - 1) / 2];
    }

    // H pending implies anything pending, so the H run is never the longer one.
    function _extend(uint256 runH, uint256 runAny, uint128 bitmapH, uint128 bitmapAny, uint256 bit, uint256 cap)
        private
        pure
        returns (uint256, uint256)
    {
        unchecked {
            runH = (bitmapH >> bit) & 1 == 0 ? 0 : (runH < cap ? runH + 1 : cap);
            runAny = (bitmapAny >> bit) & 1 == 0 ? 0 : (runAny < cap ? runAny + 1 : cap);
        }
        return (runH, runAny);
    }

    function _add(Sums memory sums, uint256 header, uint256 extH, uint256 extL) private pure {
        // Bounded by 128 slots of 2^64 bytes at 2^64 wei per byte.
        unchecked {
            uint256 bytesH = uint64(header >> 64);
            uint256 bytesL = uint64(header);
            sums.weightedH += extH * bytesH;
            sums.weightedL += extL * bytesL;
            sums.bytesH += bytesH;
            sums.bytesL += bytesL;
            sums.plainH += extH;
            sums.plainL += extL;
        }
    }
}
