-- The pool of release 0.1.0 on PostgreSQL: pg_dump --schema=twinledger_pool --inserts --no-owner, after a run
-- that sealed two versions, left one pending, and kept an answer, a contribution and a measurement.
SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
CREATE SCHEMA twinledger_pool;
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE twinledger_pool.answers (
    actor character varying NOT NULL COLLATE pg_catalog."C",
    route character varying NOT NULL COLLATE pg_catalog."C",
    key character varying NOT NULL COLLATE pg_catalog."C",
    body_sha256 character varying NOT NULL COLLATE pg_catalog."C",
    status integer NOT NULL,
    body character varying NOT NULL COLLATE pg_catalog."C",
    created bigint NOT NULL
);
CREATE TABLE twinledger_pool.contributions (
    task bigint NOT NULL,
    round bigint NOT NULL,
    device character varying NOT NULL COLLATE pg_catalog."C",
    body character varying NOT NULL COLLATE pg_catalog."C",
    device_signature character varying NOT NULL COLLATE pg_catalog."C",
    aggregator_signature character varying COLLATE pg_catalog."C",
    received bigint NOT NULL
);
CREATE TABLE twinledger_pool.measurements (
    task bigint NOT NULL,
    round bigint NOT NULL,
    device character varying NOT NULL COLLATE pg_catalog."C",
    validator character varying NOT NULL COLLATE pg_catalog."C",
    body character varying NOT NULL COLLATE pg_catalog."C",
    signature character varying NOT NULL COLLATE pg_catalog."C"
);
CREATE TABLE twinledger_pool.nonces (
    address character varying NOT NULL COLLATE pg_catalog."C",
    nonce character varying NOT NULL COLLATE pg_catalog."C",
    created bigint NOT NULL
);
CREATE TABLE twinledger_pool.submissions (
    sequence bigint NOT NULL,
    version_id character varying NOT NULL COLLATE pg_catalog."C",
    state character varying NOT NULL COLLATE pg_catalog."C",
    submitter character varying NOT NULL COLLATE pg_catalog."C",
    model character varying NOT NULL COLLATE pg_catalog."C",
    issued_at bigint NOT NULL,
    deadline bigint NOT NULL,
    reserved character varying NOT NULL COLLATE pg_catalog."C",
    received bigint NOT NULL,
    body character varying NOT NULL COLLATE pg_catalog."C",
    reason character varying COLLATE pg_catalog."C",
    promise character varying COLLATE pg_catalog."C"
);
CREATE SEQUENCE twinledger_pool.submissions_sequence_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE twinledger_pool.submissions_sequence_seq OWNED BY twinledger_pool.submissions.sequence;
CREATE TABLE twinledger_pool.uploads (
    cid character varying NOT NULL COLLATE pg_catalog."C",
    sha256 character varying NOT NULL COLLATE pg_catalog."C",
    size bigint NOT NULL,
    caller character varying NOT NULL COLLATE pg_catalog."C",
    received bigint NOT NULL,
    named bigint NOT NULL
);
ALTER TABLE ONLY twinledger_pool.submissions ALTER COLUMN sequence SET DEFAULT nextval('twinledger_pool.submissions_sequence_seq'::regclass);
INSERT INTO twinledger_pool.answers VALUES ('0x63d292274093C26c7eb20075C6E3f051b1aBA00D', '/v1/submissions', '109ad5d0ab66406ee64caebb4157402c', '5ae9429d08211c9655cc029051b45784eaf9468a4bf230b8b1bc222d22a2794f', 202, '{"version_id":"0x400c66b384f735b529087df88cda4fcab65c7379cdafec2ade764d0c3695a696","state":"pending","quote":{"fee_class":0,"size":688,"rho":"30","tax":"0","total":"20640","expected_wait_s":null},"promise":{"log":"gateway/842001/0x0B91BC9878AB552E39F99b3b129139ec633dd836","entry_sha256":"0x43a3f78bbd049b485c6a9c3a5979be986afbc720e9dea45b69a2315fd4705bac","issued":1795949210,"merge_delay_s":10,"signature":"0xba0d33fcfffc6771eff2f97ba7891fdfd2ab0a0bd393390083b6f247686f4b28ca3e6176b1ee38dd6f8936152c2b085d1e8606ddb9067f29d4af4632b3b82407"}}', 1795949210);
INSERT INTO twinledger_pool.answers VALUES ('0x63d292274093C26c7eb20075C6E3f051b1aBA00D', '/v1/submissions', '767a7589930302878a4e3ba293106300', '5b1e59dfd34044216d104edbeee48d5587c47e2fa7346dc63e2f8653d6c6c68e', 202, '{"version_id":"0x5ddc5a74eb459ea890630cca1e69bd33205efd0495968b7764969466f8e3f2df","state":"pending","quote":{"fee_class":0,"size":722,"rho":"30","tax":"0","total":"21660","expected_wait_s":null},"promise":{"log":"gateway/842001/0x0B91BC9878AB552E39F99b3b129139ec633dd836","entry_sha256":"0xe53c2d6a13a91e6dfda86a569d09bf012f13dcf5775804e6a335c359de55cb30","issued":1795949214,"merge_delay_s":10,"signature":"0xb28d7ae8435a88449082e3e667fd0dbe8a528401662a14a75ef521236cdb85adf4290c13b95cc982065b8cf52cc2c1d2a9c584fa0a0d528eeb5b3f190fc12a0a"}}', 1795949214);
INSERT INTO twinledger_pool.answers VALUES ('anonymous', '/v1/fees/quote', 'kept since 0.1.0', '91e1b67fbeba138a27bf045d7db8fc536ce2f73c0a363e6484bd153202491dbb', 200, '{"fee_class":0,"size":10,"rho":"30","tax":"0","total":"300","expected_wait_s":0.5}', 1795949216);
INSERT INTO twinledger_pool.contributions VALUES (1, 0, '0x5a67b879Eab14606955251B2026b11C587d706C1', '{"task":1,"round":0,"device":"0x5a67b879Eab14606955251B2026b11C587d706C1","update_sha256":"0x2937013f2181810606b2a799b05bda2849f3e369a20982a4138f0e0a55984ce4","samples":17,"cell":"local/cell","issued_at":1000}', '0101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101', '0202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202', 1000);
INSERT INTO twinledger_pool.measurements VALUES (1, 0, '0x5a67b879Eab14606955251B2026b11C587d706C1', '0x63d292274093C26c7eb20075C6E3f051b1aBA00D', '{"task":1,"round":0,"device":"0x5a67b879Eab14606955251B2026b11C587d706C1","update_sha256":"0x2937013f2181810606b2a799b05bda2849f3e369a20982a4138f0e0a55984ce4","evaluation":"0x1bbd174404efbce95f1af489ef93f4aa0f4d55718f24c3504682216afa7b7fb1","loss_before":1000000,"loss_after":200000,"norm":7,"sketch":"0x7373737373737373737373737373737373737373737373737373737373737373"}', '0303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303');
INSERT INTO twinledger_pool.nonces VALUES ('0x63d292274093C26c7eb20075C6E3f051b1aBA00D', '6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e', 1000);
INSERT INTO twinledger_pool.submissions VALUES (1, '0x400c66b384f735b529087df88cda4fcab65c7379cdafec2ade764d0c3695a696', 'sealed', '0x63d292274093C26c7eb20075C6E3f051b1aBA00D', 'local/first', 1795949209, 1796035609, '30960', 1795949210, '{"submission":{"version":{"namespace_id":1,"name_hash":"0x692e3fbb06193c3a65b6ccb60c9ec6fb32af21c16d3f6ac10039258c2a5d4d2d","weights_root":"0x3e8fbdf4087f0b996b386e9f9a8b992ac5c77440264742842e895d240519446a","manifest":"0x1154ca62d8fd8ab8cb1366facf6b0285575bfa91e372589f37fd34edaf1f4536","parents":[],"size":688,"salt":"0x0000000000000000000000000000000000000000000000000000000000000000","submitter":"0x63d292274093C26c7eb20075C6E3f051b1aBA00D"},"fee_class":0,"max_price":"45","issued_at":1795949209,"deadline":1796035609},"signature":"0xa26b3cd1eaa27d8f43dee110072822628fdef89fee368cef1043b54377bd43087210007b2ec86d665cd4f52d4d973fcab27eced06d75e7783bc70cff2f07c33b1c"}', NULL, '{"log":"gateway/842001/0x0B91BC9878AB552E39F99b3b129139ec633dd836","entry_sha256":"0x43a3f78bbd049b485c6a9c3a5979be986afbc720e9dea45b69a2315fd4705bac","issued":1795949210,"merge_delay_s":10,"signature":"0xba0d33fcfffc6771eff2f97ba7891fdfd2ab0a0bd393390083b6f247686f4b28ca3e6176b1ee38dd6f8936152c2b085d1e8606ddb9067f29d4af4632b3b82407"}');
INSERT INTO twinledger_pool.submissions VALUES (2, '0x5ddc5a74eb459ea890630cca1e69bd33205efd0495968b7764969466f8e3f2df', 'sealed', '0x63d292274093C26c7eb20075C6E3f051b1aBA00D', 'local/second', 1795949213, 1796035613, '32490', 1795949214, '{"submission":{"version":{"namespace_id":1,"name_hash":"0x45318970bfff215a328f56895f3a97d4f276a44c24c135c12c37867a1f667b8a","weights_root":"0xd92b513663945d91633014f2098fdd365665b6b3db4d16d00d9256dd8296cc2c","manifest":"0x59eacf35da5763c5b2b3cf1ea549e20c1db3de237797fb37160495aef2c77f7f","parents":["0x400c66b384f735b529087df88cda4fcab65c7379cdafec2ade764d0c3695a696"],"size":722,"salt":"0x0000000000000000000000000000000000000000000000000000000000000000","submitter":"0x63d292274093C26c7eb20075C6E3f051b1aBA00D"},"fee_class":0,"max_price":"45","issued_at":1795949213,"deadline":1796035613},"signature":"0x061141ef0d40dc60cf0c3c7f88183378e862895aa0f798fd5f61a160f706219b01c59081c25c4226c2fce2e47d892a8de400c7ea4fb42375e99fc052e4b546611b"}', NULL, '{"log":"gateway/842001/0x0B91BC9878AB552E39F99b3b129139ec633dd836","entry_sha256":"0xe53c2d6a13a91e6dfda86a569d09bf012f13dcf5775804e6a335c359de55cb30","issued":1795949214,"merge_delay_s":10,"signature":"0xb28d7ae8435a88449082e3e667fd0dbe8a528401662a14a75ef521236cdb85adf4290c13b95cc982065b8cf52cc2c1d2a9c584fa0a0d528eeb5b3f190fc12a0a"}');
INSERT INTO twinledger_pool.submissions VALUES (3, '0x7dbc35a11677fe12b5d5a5b18aecde0f4cfe746f54fb1d328d7fd7b3266ff962', 'pending', '0x63d292274093C26c7eb20075C6E3f051b1aBA00D', 'local/pending', 1000, 2000, '3064991081731777716716694054300618367228471045112463360', 1000, '{"submission":{"version":{"namespace_id":1,"name_hash":"0x62a2fed3d6e08c44835fce71f02210b1ddabfb066e39edf1e6c261988f824dd3","weights_root":"0x62a2fed3d6e08c44835fce71f02210b1ddabfb066e39edf1e6c261988f824dd3","manifest":"0x62a2fed3d6e08c44835fce71f02210b1ddabfb066e39edf1e6c261988f824dd3","parents":["0x62a2fed3d6e08c44835fce71f02210b1ddabfb066e39edf1e6c261988f824dd3"],"size":9007199254740992,"salt":"0x62a2fed3d6e08c44835fce71f02210b1ddabfb066e39edf1e6c261988f824dd3","submitter":"0x63d292274093C26c7eb20075C6E3f051b1aBA00D"},"fee_class":1,"max_price":"340282366920938463463374607431768211455","issued_at":1000,"deadline":2000},"signature":"0x000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000001b"}', NULL, NULL);
INSERT INTO twinledger_pool.uploads VALUES ('bafkreifit4c5aklaiauss3t2ds4x42zdict72yz66jcbormpxxqeqj4owe', 'a89f05d029604029296e7a1cb97e6b2340a7fd633ef24417458fbde048278eb1', 328, '0x63d292274093C26c7eb20075C6E3f051b1aBA00D', 1795949210, 1);
INSERT INTO twinledger_pool.uploads VALUES ('bafkreiarktfgfwh5rk4mwe3g7lhwwaufk5n7vepdojmj6n75gtw26h2fgy', '1154ca62d8fd8ab8cb1366facf6b0285575bfa91e372589f37fd34edaf1f4536', 360, '0x63d292274093C26c7eb20075C6E3f051b1aBA00D', 1795949210, 1);
INSERT INTO twinledger_pool.uploads VALUES ('bafkreiha2fcapth4dcs7fc4g5ily5rmxlnceimjochshdaqgepsb22t6ae', 'e0d14407ccfc18a5f28b86ea178ec5975b4444312e11e471820623e41d6a7e01', 328, '0x63d292274093C26c7eb20075C6E3f051b1aBA00D', 1795949213, 1);
INSERT INTO twinledger_pool.uploads VALUES ('bafkreicz5lhtlwsxmpc3fm6pd2sutyqmdwz54i3xs75tofqeswxpfr37p4', '59eacf35da5763c5b2b3cf1ea549e20c1db3de237797fb37160495aef2c77f7f', 394, '0x63d292274093C26c7eb20075C6E3f051b1aBA00D', 1795949213, 1);
SELECT pg_catalog.setval('twinledger_pool.submissions_sequence_seq', 3, true);
ALTER TABLE ONLY twinledger_pool.answers
    ADD CONSTRAINT answers_pkey PRIMARY KEY (actor, route, key);
ALTER TABLE ONLY twinledger_pool.contributions
    ADD CONSTRAINT contributions_pkey PRIMARY KEY (task, round, device);
ALTER TABLE ONLY twinledger_pool.measurements
    ADD CONSTRAINT measurements_pkey PRIMARY KEY (task, round, device, validator);
ALTER TABLE ONLY twinledger_pool.nonces
    ADD CONSTRAINT nonces_pkey PRIMARY KEY (address, nonce);
ALTER TABLE ONLY twinledger_pool.submissions
    ADD CONSTRAINT submissions_pkey PRIMARY KEY (sequence);
ALTER TABLE ONLY twinledger_pool.submissions
    ADD CONSTRAINT submissions_version_id_key UNIQUE (version_id);
ALTER TABLE ONLY twinledger_pool.uploads
    ADD CONSTRAINT uploads_pkey PRIMARY KEY (cid);
CREATE INDEX ix_answers_created ON twinledger_pool.answers USING btree (created);
CREATE INDEX ix_nonces_created ON twinledger_pool.nonces USING btree (created);
CREATE INDEX submissions_by_state ON twinledger_pool.submissions USING btree (state, sequence);
CREATE INDEX submissions_by_submitter ON twinledger_pool.submissions USING btree (submitter, state);
CREATE INDEX uploads_by_caller ON twinledger_pool.uploads USING btree (caller, named);
