// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title What a registry looks like without any of our choices: the baseline of scripts/bench.
/// @notice One transaction per model, names and CIDs as strings in storage, parents stored, a counter per model.
/// Never deployed for anything but a measurement; it checks neither membership nor signatures.
contract Naive {
    struct Model {
        address owner;
        string name;
        string cid;
        string metadataCid;
        bytes32[] parents;
        uint256 size;
        uint256 version;
        uint256 time;
    }

    mapping(uint256 => Model) public models;
    mapping(string => uint256) public versions;
    mapping(address => uint256) public escrow;
    uint256 public count;
    uint256 public immutable fee;

    event Registered(uint256 indexed id, address indexed owner, string name, string cid, uint256 version);

    error FeeTooLow(uint256 paid, uint256 fee);

    constructor(uint256 fee_) {
        fee = fee_;
    }

    function register(
        string calldata name,
        string calldata cid,
        string calldata metadataCid,
        bytes32[] calldata parents,
        uint256 size
    ) external payable returns (uint256 id) {
        if (msg.value < fee) revert FeeTooLow(msg.value, fee);
        escrow[block.coinbase] += msg.value;
        id = ++count;
        uint256 version = ++versions[name];
        models[id] = Model(msg.sender, name, cid, metadataCid, parents, size, version, block.timestamp);
        emit Registered(id, msg.sender, name, cid, version);
    }
}
