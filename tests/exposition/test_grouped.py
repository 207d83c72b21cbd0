"""Tests of promproxy.exposition.grouped."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from twisted.trial.unittest import SynchronousTestCase

from promproxy.exposition.grouped import Families
from promproxy.exposition.labels import SeriesLabels
from promproxy.exposition.rewrite import Rewriter
from tests.exposition.support import result_of

BODIES = st.lists(
    st.sampled_from(
        [
            b"# TYPE m gauge\nm 1\n",
            b"# TYPE m counter\nm 2\nn 1\n",
            b'# HELP h it\n# TYPE h histogram\nh_bucket{le="+Inf"} 1\nh_sum 1\nh_count 1\n',
            b"h_sum 1\n",
            b'# TYPE h summary\nh{quantile="1"} 1\nh_sum 2\nh_count 3\n',
            b"n 1\n# TYPE n gauge\n",
        ]
    ),
    max_size=6,
)


def grouped(bodies: list[bytes]) -> list[bytes]:
    """The lines of several targets' bodies, grouped."""
    families, rewriter = Families(), Rewriter()
    for number, body in enumerate(bodies):
        families.add(result_of(rewriter.rewrite(body, SeriesLabels({"instance": str(number)}))))
    return [line for line in families.lines() if line]


class FamiliesTests(SynchronousTestCase):
    def test_a_family_comes_once(self) -> None:
        """With the samples of all targets, the first type and the first help."""
        lines = grouped(
            [b"# HELP m a\n# TYPE m gauge\nm 1\nn 1\n", b"# HELP m b\n# TYPE m counter\nm 2\n"]
        )
        self.assertEqual(
            b"".join(lines).splitlines(),
            [
                b"# HELP m a",
                b"# TYPE m gauge",
                b'm{instance="0"} 1',
                b'm{instance="1"} 2',
                b'n{instance="0"} 1',
            ],
        )

    def test_histograms_stay_together(self) -> None:
        """Also those of a target that gives them no type."""
        lines = grouped([b'# TYPE h histogram\nh_bucket{le="1"} 1\nh_sum 1\n', b"m 1\nh_count 1\n"])
        names = [line.split(b"{")[0] for line in lines]
        self.assertEqual(names, [b"# TYPE h histogram\n", b"h_bucket", b"h_sum", b"h_count", b"m"])

    def test_size(self) -> None:
        """Grows with what is held."""
        families = Families()
        families.add(result_of(Rewriter().rewrite(b"m 1\n", SeriesLabels({"instance": "t"}))))
        self.assertEqual(families.size, len(b'm{instance="t"} 1\n'))

    @given(BODIES)
    def test_no_sample_is_lost_and_no_family_comes_twice(self, bodies: list[bytes]) -> None:
        """Whatever targets say of types."""
        text = b"".join(grouped(bodies)).decode()
        given_samples = sum(
            not line.startswith(b"#") for body in bodies for line in body.splitlines()
        )
        self.assertEqual(sum(not line.startswith("#") for line in text.splitlines()), given_samples)
        types = Counter(line.split()[2] for line in text.splitlines() if line.startswith("# TYPE"))
        assert all(count == 1 for count in types.values()), types
        list(text_string_to_metric_families(text))
