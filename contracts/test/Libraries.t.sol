// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Externality} from "../src/libraries/Externality.sol";
import {Names} from "../src/libraries/Names.sol";
import {Smoothing} from "../src/libraries/Smoothing.sol";
import {VM} from "./Vm.sol";

/// @title The pure libraries against slower, plainer versions of themselves.
contract LibrariesTest {
    uint256 private constant K = 12;

    /// @dev The formula of the page, slot by slot with arrays, no early exit.
    function _plain(uint256[] memory headers, bool[] memory h, bool[] memory any, Externality.Weights memory w)
        private
        pure
        returns (uint256 estH, uint256 estL)
    {
        uint256[5] memory sums; // weighted H, weighted L, bytes H, bytes L, plain H
        uint256 plainL;
        for (uint256 k; k < K; ++k) {
            uint256 runH;
            while (runH < w.runCap && k + runH < 2 * K && h[k + runH]) ++runH;
            uint256 runAny;
            while (runAny < w.runCap && k + runAny < 2 * K && any[k + runAny]) ++runAny;
            uint256 extH = w.gH * runH + w.gL * (runAny - runH);
            sums[0] += extH * uint64(headers[k] >> 64);
            sums[1] += w.gL * runAny * uint64(headers[k]);
            sums[2] += uint64(headers[k] >> 64);
            sums[3] += uint64(headers[k]);
            sums[4] += extH;
            plainL += w.gL * runAny;
        }
        estH = sums[2] > 0 ? sums[0] / sums[2] : sums[4] / K;
        estL = sums[3] > 0 ? sums[1] / sums[3] : plainL / K;
    }

    function testFuzz_theEstimateIsThePagesFormula(
        uint24 bitsH,
        uint24 bitsMore,
        uint32[K] memory bytesH,
        uint32[K] memory bytesL,
        uint8 cap,
        uint32 gH,
        uint32 gL
    ) public pure {
        uint24 bitsAny = bitsH | bitsMore;
        uint256[] memory headers = new uint256[](K);
        bool[] memory h = new bool[](2 * K);
        bool[] memory any = new bool[](2 * K);
        for (uint256 i; i < 2 * K; ++i) {
            if (i < K) headers[i] = uint256(bytesH[i] % 5 == 0 ? 0 : bytesH[i]) << 64 | bytesL[i];
            (h[i], any[i]) = (bitsH >> i & 1 == 1, bitsAny >> i & 1 == 1);
        }
        uint128 mask = uint128(1 << K) - 1;
        Externality.Backlog memory backlog =
            Externality.Backlog(bitsH & mask, bitsAny & mask, uint128(bitsH) >> K, uint128(bitsAny) >> K);
        Externality.Weights memory weights = Externality.Weights(gH, gL, cap);
        (uint256 estH, uint256 estL) = Externality.estimate(headers, backlog, weights);
        (uint256 plainH, uint256 plainL) = _plain(headers, h, any, weights);
        assert(estH == plainH);
        assert(estL == plainL);
    }

    function testFuzz_theLowerMedianHasAtMostHalfBelowAndAtLeastHalfAtOrBelow(uint256[] memory values) public pure {
        VM.assume(values.length > 0 && values.length < 65);
        uint256[] memory kept = new uint256[](values.length);
        for (uint256 i; i < values.length; ++i) kept[i] = values[i];
        uint256 median = Externality.lowerMedian(values);
        uint256 below;
        uint256 atOrBelow;
        for (uint256 i; i < kept.length; ++i) {
            if (kept[i] < median) ++below;
            if (kept[i] <= median) ++atOrBelow;
        }
        assert(below * 2 < kept.length);
        assert(atOrBelow * 2 >= kept.length);
    }

    function testFuzz_decayIsAStepOfZeroRepeated(uint64 num, uint8 steps, uint8 eta) public pure {
        eta %= 33;
        uint256 slow = num;
        for (uint256 i; i < steps; ++i) slow = Smoothing.step(slow, 0, eta);
        assert(Smoothing.decay(num, steps, eta) == slow);
    }

    function testFuzz_anAliasIsANameIsShortAndPlain(string calldata text) public pure {
        if (!Names.isName(text)) {
            assert(!Names.isAlias(text));
            return;
        }
        assert(bytes(text).length <= 64);
        for (uint256 i; i < bytes(text).length; ++i) {
            bytes1 c = bytes(text)[i];
            assert((c >= "a" && c <= "z") || (c >= "0" && c <= "9") || c == "." || c == "_" || c == "-");
        }
    }
}
