"""The new lines of a diff."""

from __future__ import annotations

from reconciler.ci.annotations import parse_diff

DIFF = """\
diff --git a/a b.yaml b/a b.yaml
index 1..2 100644
--- a/a b.yaml\t
+++ b/a b.yaml\t
@@ -3 +3,2 @@ spec:
-x: 1
+++ b/forged.yaml
+@@ -1 +90 @@
@@ -9,2 +10,0 @@
-y
---- a/forged.yaml
diff --git a/gone.yaml b/gone.yaml
--- a/gone.yaml
+++ /dev/null
@@ -1 +0,0 @@
-x
diff --git a/ü.yaml b/ü.yaml
--- /dev/null
+++ b/ü.yaml
@@ -0,0 +1 @@
+x
\\ No newline at end of file
"""


def test_new_lines_by_path_and_no_header_is_forged() -> None:
    assert parse_diff(DIFF) == {
        "a b.yaml": (range(3, 5), range(10, 10)),
        "ü.yaml": (range(1, 2),),
    }


def test_no_diff_changes_nothing() -> None:
    assert parse_diff("") == {}
