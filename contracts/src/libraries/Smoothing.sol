// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The exponentially weighted mean in fixed point: num += est - (num >> eta), value = num >> eta.
library Smoothing {
    function step(uint256 num, uint256 est, uint256 eta) internal pure returns (uint256) {
        return num + est - (num >> eta);
    }

    /// @notice `steps` of est = 0. Ends early: once num >> eta is 0 nothing changes any more.
    function decay(uint256 num, uint256 steps, uint256 eta) internal pure returns (uint256) {
        for (; steps > 0; --steps) {
            uint256 loss = num >> eta;
            if (loss == 0) break;
            num -= loss;
        }
        return num;
    }
}
