"""Buckets, against an S3 server that runs here, and fsspec's file system in memory."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from website import picture

from logolens.config import Limits, SourceSettings
from logolens.errors import ImageError
from logolens.io.sources import gather, reopen
from logolens.io.sources.buckets import is_bucket

fsspec = pytest.importorskip("fsspec")


def collect(*arguments: str, limits: Limits = Limits(), **changes: Any) -> tuple[dict[str, bytes], dict[str, str]]:
    images, problems = {}, {}
    for source in gather(arguments, SourceSettings(**changes), limits=limits):
        try:
            images[source.name] = source.read(limits)
        except ImageError as error:
            problems[source.name] = str(error)
    return images, problems


@pytest.fixture
def memory() -> Iterator[Any]:
    files = fsspec.filesystem("memory")
    files.store.clear()
    yield files
    files.store.clear()


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """An S3 server with a bucket of images; yields a client for it."""
    pytest.importorskip("s3fs")
    server_module = pytest.importorskip("moto.server")
    boto3 = pytest.importorskip("boto3")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = server_module.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        empty = tmp_path_factory.mktemp("aws") / "none"
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        for key, value in {
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "hunter2",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_CONFIG_FILE": str(empty),
            "AWS_SHARED_CREDENTIALS_FILE": str(empty),
            "AWS_EC2_METADATA_DISABLED": "true",
        }.items():
            patch.setenv(key, value)
        client = boto3.client("s3")
        client.create_bucket(Bucket="photos")
        for number in range(30):
            client.put_object(Bucket="photos", Key=f"web/{number % 3}/{number}.png", Body=picture(number))
        client.put_object(Bucket="photos", Key="web/notes.txt", Body=b"x")
        client.put_object(Bucket="photos", Key="web/.hidden/h.png", Body=b"x")
        yield client
        client.close()
    server.stop()


def test_a_bucket_is_listed_and_read(s3: Any) -> None:
    images, problems = collect("s3://photos/web/")
    assert images == {f"s3://photos/web/{n % 3}/{n}.png": picture(n) for n in range(30)}
    assert not problems
    assert collect("s3://photos/web/1/4.png")[0] == {"s3://photos/web/1/4.png": picture(4)}
    assert len(collect("s3://photos/web/*/1*.png")[0]) == 11
    assert len(collect("s3://photos")[0]) == 30


def test_a_rescan_of_a_bucket_reads_only_what_changed(s3: Any) -> None:
    known = {source.name: source.stamp for source in gather(["s3://photos/web/0"])}
    assert all(stamp is not None and stamp.etag and stamp.size for stamp in known.values())
    s3.put_object(Bucket="photos", Key="web/0/3.png", Body=picture(99))
    changed = [s.name for s in gather(["s3://photos/web/0"]) if s.read_if_changed(Limits(), known[s.name]) is not None]
    s3.put_object(Bucket="photos", Key="web/0/3.png", Body=picture(3))
    assert changed == ["s3://photos/web/0/3.png"]


def test_what_a_bucket_refuses_is_said_without_its_keys(s3: Any) -> None:
    images, problems = collect("s3://photos/none", "s3://nobody/x/", "s3://key:hunter3@photos/none.png")
    assert not images
    assert set(problems) == {"s3://photos/none", "s3://nobody/x", "s3://photos/none.png"}
    assert not any("hunter" in problem for problem in problems.values())
    assert collect("s3://testing:hunter%32@photos/web/1/4.png")[0] == {"s3://photos/web/1/4.png": picture(4)}
    with pytest.raises(ImageError, match="no such file"):
        reopen("s3://photos/none.png").read()
    assert reopen("s3://photos/web/1/4.png").read() == picture(4)


def test_any_address_of_fsspec(memory: Any) -> None:
    memory.pipe({"/m/a.png": picture(1), "/m/in/b.jpg": picture(2, "JPEG"), "/m/c.txt": b"x", "/m/empty.png": b""})
    images, problems = collect("memory://m")
    assert images == {"memory://m/a.png": picture(1), "memory://m/in/b.jpg": picture(2, "JPEG")}
    assert "empty" in problems["memory://m/empty.png"]
    assert "limit of 10" in collect("memory://m/a.png", limits=Limits(max_bytes=10))[1]["memory://m/a.png"]
    assert reopen("memory://m/a.png").read() == picture(1)


def test_archives_in_a_bucket_are_read_in_place(memory: Any) -> None:
    import io
    import zipfile

    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("x/a.png", picture(1))
    memory.pipe("/m/a.zip", out.getvalue())
    assert collect("memory://m")[0] == {"memory://m/a.zip!/x/a.png": picture(1)}
    assert reopen("memory://m/a.zip!/x/a.png").read() == picture(1)
    assert not collect("memory://m", inside=False)[0]


def test_addresses_that_cannot_be_used() -> None:
    images, problems = collect("nope://u:hunter2@x/y.png", "zip::memory://a.zip", "memory://u:hunter2@x/y.png")
    assert not images
    assert len(problems) == 3
    assert "hunter2" not in repr(problems)
    assert is_bucket("gs://b/k")
    assert not is_bucket("C:\\x.png")
    assert not is_bucket("folder/x.png")
