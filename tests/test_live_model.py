"""The shared model: loading, failing and trying again, the head of a run, a lent accelerator."""

import pickle
import threading

import pytest
from conftest import byte_tokenizer, tiny_model

from decoding import LanguageModel, decode
from decoding.errors import ContextLengthError, DownloadError
from decoding.live_model import LiveModel
from decoding.model_facts import model_facts
from decoding.run import RunHead, RunRequest

GREEDY = {"do_sample": False, "max_new_tokens": 6}


@pytest.fixture
def live():
    made = []

    def make(load, **options):
        made.append(LiveModel(load, **options))
        return made[-1]

    yield make
    for model in made:
        model.worker.shutdown()


def drain(stream):
    events = []
    while not stream.done:
        events += stream.take(5)
    return events


def no_progress(done, total):
    pass


def test_a_run_is_its_head_and_the_steps_of_decode(live, tiny_lm):
    model = live(lambda progress: tiny_lm)
    request = RunRequest([{"role": "user", "content": "Hi"}], GREEDY, seed=3, top_candidates=4)
    fed = []
    head, *steps = drain(model.stream(request, lambda done, total: fed.append((done, total))))
    assert isinstance(head, RunHead)
    assert "".join(token.text for token in head.prompt).startswith("<|im_start|>user\nHi")
    assert head.prompt[0].is_special
    assert head.config["max_new_tokens"] == 6
    assert head.config["seed"] == 3
    assert fed[-1] == (len(head.prompt), len(head.prompt))
    expected = decode(tiny_lm, request.prompt, seed=3, top_candidates=4, **GREEDY)
    assert [s.token_id for s in steps] == [s.token_id for s in expected]


def test_all_of_it_happens_on_one_thread(live, tiny_lm):
    threads = []

    def load(progress):
        threads.append(threading.get_ident())
        return tiny_lm

    def on_prefill(done, total):
        threads.append(threading.get_ident())

    drain(live(load).stream(RunRequest("a", GREEDY, 0), on_prefill))
    assert len(threads) >= 2
    assert len(set(threads)) == 1
    assert threads[0] != threading.get_ident()


def test_progress_of_loading_is_told(live, tiny_lm):
    seen = []

    def load(progress):
        progress("download", 5, 10)
        seen.append(model.status)
        progress("load", 0, 0)
        seen.append(model.status)
        return tiny_lm

    gate = threading.Event()
    model = live(lambda progress: (gate.wait(), load(progress))[1])
    gate.set()
    model.wait()
    assert [(s.state, s.stage, s.progress) for s in seen] == [
        ("loading", "download", (5, 10)),
        ("loading", "load", None),
    ]
    assert model.status.state == "ready"
    assert model.status.facts.name == "tiny-llama"


def test_a_failed_load_is_told_and_tried_again(live, tiny_lm):
    attempts = []

    def load(progress):
        attempts.append(1)
        if len(attempts) < 3:
            raise DownloadError("No network: connect and try again.")
        return tiny_lm

    model = live(load)
    model.wait()
    assert str(model.status.error).startswith("No network")
    with pytest.raises(DownloadError, match="No network"):
        drain(model.stream(RunRequest("a", GREEDY, 0), no_progress))
    assert len(drain(model.stream(RunRequest("a", GREEDY, 0), no_progress))) > 1
    assert model.status.state == "ready"


def test_what_decode_refuses_comes_before_the_head(live, tiny_lm):
    model = live(lambda progress: tiny_lm)
    with pytest.raises(ContextLengthError):
        drain(model.stream(RunRequest("a" * 300, GREEDY, 0), no_progress))


def test_a_stopped_run_ends_while_it_reads_the_prompt(live, tiny_lm):
    model = live(lambda progress: tiny_lm)
    reading, stopped = threading.Event(), threading.Event()

    def on_prefill(done, total):
        reading.set()
        stopped.wait(5)

    stream = model.stream(RunRequest("a" * 200, GREEDY, 0), on_prefill)
    assert reading.wait(30)
    stream.close()
    stopped.set()
    assert all(isinstance(event, RunHead) for event in drain(stream))


def test_facts_hold_the_formula_only_where_it_holds(tiny_lms):
    facts = model_facts(tiny_lms("llama"))
    kv = facts.kv
    assert kv.bytes_per_token == 2 * kv.layers * kv.kv_heads * kv.head_dim * kv.value_bytes
    assert (facts.vocab_size, facts.dtype, facts.device) == (260, "float32", "cpu")
    assert model_facts(tiny_lms("mamba")).kv is None


class OtherProcess:
    """What `spaces.GPU` does to a generator function: arguments and yields are pickled."""

    def __init__(self):
        self.calls = 0

    def __call__(self, function):
        def lent(*args):
            self.calls += 1
            for item in function(*pickle.loads(pickle.dumps(args))):
                yield pickle.loads(pickle.dumps(item))

        return lent


def test_where_the_accelerator_is_lent_decoding_happens_inside_the_call(live, tiny_lm):
    gpu = OtherProcess()
    model = live(lambda progress: tiny_lm, on_device=gpu)
    _head, *steps = drain(model.stream(RunRequest("a", GREEDY, 0), no_progress))
    assert gpu.calls == 1
    assert [s.token_id for s in steps] == [s.token_id for s in decode(tiny_lm, "a", **GREEDY)]


def test_an_error_from_a_lent_accelerator_keeps_its_sentence(live):
    lm = LanguageModel(tiny_model("llama"), byte_tokenizer())
    model = live(lambda progress: lm, on_device=OtherProcess())
    too_long = RunRequest("a", {"do_sample": False, "max_new_tokens": 10_000}, 0)
    with pytest.raises(ContextLengthError, match="10,000"):
        drain(model.stream(too_long, no_progress))


def test_each_run_tells_the_facts_of_when_the_model_was_loaded(live, tiny_lm):
    model = live(lambda progress: tiny_lm)
    model.wait()
    request = RunRequest("Hi", GREEDY, seed=0)
    for _ in range(2):
        head = drain(model.stream(request, no_progress))[0]
        assert head.model is model.status.facts
