"""What a gateway serves, met by a real browser: shown or kept, never run, framed or read by another site."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from browser import browser

PAGE = b"<!doctype html><title>twin</title><script>document.title='owned'</script><h1>weights</h1>"


@pytest.fixture
def page(tmp_path):
    with browser(tmp_path / "profile") as found:
        yield found


@pytest.fixture
def elsewhere():
    """Another site on this machine; answers its address."""

    class Empty(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>elsewhere</title>")

        def log_message(self, *_given: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Empty) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_a_page_that_was_uploaded_as_weights_does_not_run(live, page):
    with live.client() as client:
        cid = client.http.put("/v1/content", PAGE, "application/octet-stream")["cid"]
    for path in (f"/v1/content/{cid}", f"/ipfs/{cid}?format=raw"):
        page.open("about:blank")
        page.open(live.url + path)
        assert page.value("document.title") != "owned"
        assert page.value("document.querySelectorAll('script').length") == 0


def test_another_site_reads_nothing_and_frames_nothing(live, page, elsewhere):
    target = f"{live.url}/v1/deployment"
    page.open(elsewhere)
    read = f"fetch('{target}').then(r => r.text(), e => 'refused')"
    assert page.value(read) == "refused"
    sent = f"fetch('{target}', {{mode: 'no-cors'}}).then(r => r.text(), e => 'refused')"
    assert page.value(sent) in ("", "refused")
    assert page.shows_in_a_frame(elsewhere)
    assert not page.shows_in_a_frame(target)
    named = f"""new Promise(done => {{
        const script = document.createElement('script');
        script.onload = () => done('ran');
        script.onerror = () => done('refused');
        script.src = '{target}';
        document.head.append(script);
    }})"""
    assert page.value(named) == "refused"


def test_an_answer_is_shown_to_who_asks_for_it(live, page):
    page.open(f"{live.url}/v1/deployment")
    with live.client() as client:
        assert json.loads(page.value("document.body.innerText")) == client.http.get("/v1/deployment")
