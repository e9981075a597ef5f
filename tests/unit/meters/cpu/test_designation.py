from __future__ import annotations

import pytest

from eco2ai_callbacks.meters.cpu.designation import designation, unmarked


@pytest.mark.parametrize(
    ("spelling", "expected"),
    [
        ("Intel(R) Xeon(R) CPU E5-2680 v4 @ 2.40GHz", "xeon e5-2680 v4"),
        ("Intel(R) Xeon(R) CPU E3-1230 V2 @ 3.30GHz", "xeon e3-1230 v2"),
        ("Intel(R) Xeon(R) CPU E5-2670 0 @ 2.60GHz", "xeon e5-2670"),
        ("Intel(R) Xeon(R) CPU E31230 @ 3.20GHz", "xeon e3-1230"),
        ("Intel(R) Xeon(R) CPU E7- 4870  @ 2.40GHz", "xeon e7-4870"),
        ("Intel(R) Xeon(R) CPU           X5650  @ 2.67GHz", "xeon x5650"),
        ("INTEL(R) XEON(R) PLATINUM 8581C CPU @ 2.10GHz", "xeon platinum 8581c"),
        ("Intel Xeon Processor (Skylake, IBRS)", "xeon"),
        ("Intel® Xeon® 6 Processor 6980P", "xeon 6980p"),
        ("Intel(R) Xeon(R) CPU Max 9480", "xeon max 9480"),
        ("12th Gen Intel(R) Core(TM) i7-1260P", "core i7-1260p"),
        ("Intel(R) Core(TM) i7-8550U CPU @ 1.80GHz   1.99 GHz", "core i7-8550u"),
        ("13th Gen Intel(R) Core(TM) i7-1355U   1.70 GHz", "core i7-1355u"),
        ("13th Gen Intel(R) Core(TM) i5-13500 To Be Filled By O.E.M. CPU @ 2.4GHz", "core i5-13500"),
        ("Intel® Core™ i9 processor 14900K", "core i9-14900k"),
        ("Intel(R) Core(TM) i7 CPU       Q 720  @ 1.60GHz", "core i7-720qm"),
        ("Intel(R) Core(TM) i7 CPU       X 920  @ 2.00GHz", "core i7-920xm"),
        ("Intel(R) Core(TM) i7 CPU       X 980  @ 3.33GHz", "core i7-980x"),
        ("Intel(R) Core(TM) i5 CPU         750  @ 2.67GHz", "core i5-750"),
        ("Intel(R) Core(TM) i7 CPU", "core i7"),
        ("Intel(R) Core(TM) Ultra 7 155H", "core ultra 7 155h"),
        ("Intel(R) Core(TM)2 Duo CPU     E8400  @ 3.00GHz", "core 2 e8400"),
        ("Intel(R) Core(TM)2 CPU          6600  @ 2.40GHz", "core 2 e6600"),
        ("Pentium(R) Dual-Core  CPU      E5300  @ 2.60GHz", "pentium e5300"),
        ("Intel(R) Pentium(R) Gold G5400 CPU @ 3.70GHz", "pentium g5400"),
        ("Intel(R) Atom(TM) x5-Z8350  CPU @ 1.44GHz", "atom z8350"),
        ("Intel(R) Processor N100", "n100"),
        ("AMD EPYC 7763 64-Core Processor                ", "epyc 7763"),
        ("AMD EPYC Processor (with IBPB)", "epyc"),
        ("AMD Ryzen Threadripper PRO 5995WX 64-Cores", "ryzen threadripper pro 5995wx"),
        ("AMD Ryzen 5 1600 Six-Core Processor", "ryzen 5 1600"),
        ("AMD Ryzen 5 3600 6-Core Processor               3.59 GHz", "ryzen 5 3600"),
        ("AMD Ryzen 7 PRO 4750U with Radeon Graphics", "ryzen 7 pro 4750u"),
        ("AMD Ryzen 7 7840HS w/ Radeon 780M Graphics", "ryzen 7 7840hs"),
        ("AMD RYZEN AI MAX+ 395 w/ Radeon 8060S", "ryzen ai max+ 395"),
        ("AMD FX(tm)-8350 Eight-Core Processor", "fx-8350"),
        ("AMD A10-7850K Radeon R7, 12 Compute Cores 4C+8G", "a10-7850k"),
        ("AMD PRO A10-8770 R7, 10 COMPUTE CORES 4C+6G", "pro a10-8770"),
        ("Six-Core AMD Opteron(tm) Processor 2435", "opteron 2435"),
        ("Intel(R) Xeon(R) Platinum 8380 CPU @ 2.30GHz ES", "xeon platinum 8380"),
        ("Intel(R) Xeon(R) Gold 6130 Eng Sample", "xeon gold 6130"),
        ("AMD EPYC 7763 64-Core Processor (ES)", "epyc 7763"),
        ("Ampere(R) Altra(R) Max Processor M128-30 CPU @ 3.0GHz", "altra m128-30"),
        ("AWS Graviton3 N/A CPU @ 2.6GHz", "graviton3"),
        ("Snapdragon(R) X Elite - X1E80100 - Qualcomm(R) Oryon(TM) CPU", "snapdragon x elite x1e-80-100"),
        ("Snapdragon(R) X Elite - X1E001DE - Qualcomm(R) Oryon(TM) CPU", "snapdragon x elite x1e-00-1de"),
        ("Snapdragon (TM) 850 @ 2.96 GHz", "snapdragon 850"),
        ("", ""),
        ("   ", ""),
    ],
)
def test_a_spelling_is_reduced_to_the_models_designation(spelling: str, expected: str) -> None:
    assert designation(spelling) == expected


def test_a_name_without_its_marks_is_whole() -> None:
    assert unmarked("Intel(R)  Xeon® CPU (Skylake)") == "intel xeon cpu (skylake)"
