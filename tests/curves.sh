#!/bin/sh
# bench/curves.py draws the pictures of docs/book.md from their histories, and the rows that it shows are theirs.
# usage: curves.sh SOURCE [draw]     draw: writes the pictures instead
cd "$1/docs" || exit 1
failed=0 data=measurements/book

picture() { # FILE ARGUMENT...: as it is drawn now
    file=$1
    shift
    if [ "$mode" = draw ]; then
        python3 ../bench/curves.py "$@" --percent >"$file"
    elif ! python3 ../bench/curves.py "$@" --percent | cmp - "$file"; then
        failed=1
        echo "FAIL $file is another picture: sh tests/curves.sh . draw"
    fi
}

mode=${2:-compare}
picture book-mnist.svg "convgrad=$data/mnist.csv" "PyTorch=$data/mnist-torch.csv" 'the book: 10,000=5:0.9865' \
    --title 'MNIST, the network of section 18.4' --y '% right'
picture book-mnist.zh.svg "convgrad=$data/mnist.csv" "PyTorch=$data/mnist-torch.csv" '教材：10000 个=5:0.9865' \
    --title 'MNIST，18.4 节的网络' --x 轮 --y '正确率 %'
picture book-cifar10.svg "convgrad=$data/cifar10.csv" "PyTorch=$data/cifar10-torch.csv" \
    'the book, Keras=1:0.4343,10:0.6361' --title 'CIFAR-10, the network of section 18.6' --y '% right'
picture book-cifar10.zh.svg "convgrad=$data/cifar10.csv" "PyTorch=$data/cifar10-torch.csv" \
    '教材，Keras=1:0.4343,10:0.6361' --title 'CIFAR-10，18.6 节的网络' --x 轮 --y '正确率 %'

# Model texts and rows that both pages show: the files' words in their order.
for page in book.md book.zh.md; do
    for row in $(cut -d, -f1-5 "$data/mnist.csv"); do
        grep -qxF "$row" "$page" || { failed=1 && echo "FAIL $page lacks the row $row"; }
    done
    for model in book_mnist book_cifar10; do
        while read -r line; do
            case $line in '#'*) continue ;; esac
            grep -q "^$line\( .*\)\?$" "$page" || { failed=1 && echo "FAIL $page lacks the line $line of $model.txt"; }
        done <"../examples/$model.txt"
    done
done
exit $failed
