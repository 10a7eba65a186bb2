"""zxing-cpp reads pictures from the standard input (width, height, gray bytes) and answers two lines for each: nanoseconds
of this thread's processor time and the text, first as it comes, then with every binarizer it has until one reads."""
import sys
import time

import zxingcpp

BINARIZERS = [
    zxingcpp.Binarizer.LocalAverage,
    zxingcpp.Binarizer.GlobalHistogram,
    zxingcpp.Binarizer.FixedThreshold,
    zxingcpp.Binarizer.BoolCast,
]


def read(image, binarizer):
    found = zxingcpp.read_barcodes(image, formats=zxingcpp.BarcodeFormat.QRCode, binarizer=binarizer)
    return next((code.text for code in found if code.valid), "")


def main():
    pictures, answers = sys.stdin.buffer, sys.stdout
    while head := pictures.read(8):
        width, height = int.from_bytes(head[:4], "little"), int.from_bytes(head[4:], "little")
        image = memoryview(pictures.read(width * height)).cast("B", (height, width))
        first = None
        before = time.thread_time_ns()
        for binarizer in BINARIZERS:
            text = read(image, binarizer)
            spent = time.thread_time_ns() - before
            if first is None:
                first = f"{spent} {text}"
            if text:
                break
        answers.write(f"{first}\n{spent} {text}\n")
        answers.flush()


main()
