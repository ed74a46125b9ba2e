#!/bin/sh
# The program as a user drives it: good and bad input.   usage: cli.sh PROGRAM
# Every bad call must exit as told, print one line on standard error that begins
# with "convgrad: " and holds the words given, print nothing else, and leave no file.
set -u
program=$1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
passed=0 failed=0

result() { # GOOD(0/1) WHAT
    if [ "$1" = 1 ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $2"
        sed 's/^/    out: /' out | head -5
        sed 's/^/    err: /' err | head -5
    fi
}

good() { # ARGUMENT...: exits 0 and complains of nothing
    "$program" "$@" >out 2>err
    [ $? = 0 ] && [ ! -s err ] && result 1 || result 0 "convgrad $*"
}

bad() { # STATUS WORDS ARGUMENT...
    want=$1 words=$2
    shift 2
    "$program" "$@" >out 2>err
    status=$?
    sed -i '/^==[0-9]*==WARNING: AddressSanitizer failed to allocate/d' err
    if [ $status = "$want" ] && [ ! -s out ] && [ "$(wc -l <err)" = 1 ] && grep -q '^convgrad: ' err &&
        grep -qF -- "$words" err; then
        result 1
    else
        result 0 "convgrad $* (exit $status, must be $want with \"$words\")"
    fi
}

says() { # WORDS: the last good call printed them
    grep -qF -- "$1" out && result 1 || result 0 "output lacks: $1"
}

# npy FILE DESCR FORTRAN SHAPE BYTES: an .npy of zeros
npy() {
    { printf '\223NUMPY\001\000\166\000%-117s\n' "{'descr': '$2', 'fortran_order': $3, 'shape': ($4), }"
      head -c "$5" /dev/zero; } >"$1"
}

npy x.npy '<f4' False '2, 3, 5, 5' 600
npy w.npy '<f4' False '4, 3, 3, 3' 432
npy b.npy '<f4' False '4,' 16
npy g.npy '<f4' False '2, 4, 3, 3' 288
npy w64.npy '<f8' False '4, 3, 3, 3' 864

# ---- what works ----
good --version;                says 'convgrad 0.1.0'
good --help;                   says 'usage: convgrad'; says '--peer onednn'
for command in demo explain verify bench run info; do
    good $command --help;      says 'usage: convgrad'; says "  $command "
done
good verify --help
grep -q 'demo ' out && result 0 'verify --help tells of demo' || result 1
good info mb2ic64ih28oc64kh3ph1 --threads 1 --error-growth 8 --export plan.txt; says 'forward: winograd6'; says 'over the limit of 8'
good info mb2ic64ih28oc64kh3ph1 --threads 1 --error-growth 8 --import plan.txt; says 'stands in the imported text'
good info mb2ic64ih28oc64kh3ph1 --error-growth 1; says 'forward: direct'
good info mb2ic64ih28oc64kh3ph1 --measure 0.01;   says ' ms, '; says ', measured '
good info mb2ic64ih28oc64kh3ph1 --algo winograd4; says 'winograd4 was asked for'
bad 2 'text is for ... "batch 2 channels' info mb3ic64ih28oc64kh3ph1 --error-growth 8 --import plan.txt
bad 2 'text is made under "limits error_growth 8 ' info mb2ic64ih28oc64kh3ph1 --error-growth 2 --import plan.txt
bad 2 '--import: none.txt: ' info mb2ic64ih28oc64kh3ph1 --import none.txt
bad 2 '--measure is "1"; a plan that --import reads' info mb2ic64ih28oc64kh3ph1 --import plan.txt --measure 1
bad 2 '--export is "e.txt"; it writes the plan of one problem' info --export e.txt
bad 2 '--error-growth is "0"; must be a number of at least 1' info --error-growth 0
bad 2 'algo[forward] is winograd6; the filter is too large for its points' \
    info mb1ic1id9007199254740992kd9007199254740991ih3iw3oc1kh3kw3 --algo winograd6
bad 2 'algo[forward] is winograd6; the filter moves by more than one element' info mb1ic3ih8oc4kh3sh2ph1 --algo winograd6
bad 2 '--algo is "direct"; --check-planner times all' bench mb1ic3ih8oc4kh3ph1 --check-planner --algo direct
rm -f plan.txt
good bench mb1ic3ih8oc4kh3ph1 --check-planner --min-time 0; says 'planner: regret '; says 'error: root mean square'
good verify mb1ic3ih8oc4kh3ph1 mb1ic3ih8oc4kh3sh2ph1 --threads 1,2; says 'runs left out (the algorithm does not do the problem)'
"$program" verify mb1ic3ih8oc4kh3sh2ph1 --algo winograd6 >out 2>err
[ $? = 2 ] && grep -q 'nothing was checked' err && result 1 || result 0 'verify that checks nothing'
good info mb1ic3ih8oc4kh3ph1;  says 'forward: direct'; says 'not im2col'; says 'instruction set: '
good explain simple;           says 'delta_in_2d'; says '    [ 4. 12.  9.]]]]'
says 'dcol[1][1] = 1  to delta_out[0][0][0][2]: 0 + 1 = 1'
says 'dcol[3][1] = 3  to delta_out[0][0][1][2]: 3 + 3 = 6'
says 'rot_weights'; says 'dz_padded'; says 'difference between method 1, method 2 and the library: 0'
good explain complex;          says '[1048. 1648.]'; says ' [180 206 232 258 284 310 336 362 388 414 440 466]]'
good explain simple --format json
says '"dcol": {"shape": [4, 4], "values": [0, 0, 0, 0, 0, 1, 2, 3, 0, 2, 4, 6, 0, 3, 6, 9]'
says '"dW_col": {"shape": [4, 1], "values": [19, 25, 37, 43]'
good explain mb1ic1ih5oc1kh3sh2dh1ph2 -o e.txt
[ -s e.txt ] && result 1 || result 0 'explain -o wrote nothing'
good explain --input x.npy --weight w.npy --grad-output g.npy --format json;  says '"delta_out"'
good explain g2mb1ic4iw6oc4kw3pw1
good explain complex --format html -o page.html
[ "$(head -c 15 page.html)" = '<!DOCTYPE html>' ] && tail -1 page.html | grep -q '^</html>$' && grep -q '"delta_out": {"shape"' page.html &&
    result 1 || result 0 'explain --format html'
good explain simple --format svg;              says '>6+6</text>'
good explain simple --figure im2col;           says 'row 3 of col_x'
good explain simple --lang en;                 says 'step 4: row 3 of dcol'
good explain simple --lang zh;                 says '第 4 步：dcol 的第 3 行'; says '    [ 4. 12.  9.]]]]'
good explain simple --lang zh --format svg;    says '加完第 3 行后的 delta_out'
good explain simple --lang=zh --figure im2col; says 'col_x 的第 3 行'
good explain mb64ic3ih28oc4kh3ph1 --format html --crop; says '"whole": "mb64'
good explain mb64ic3ih28oc4kh3ph1 --crop;      says 'cut from mb64'
good explain --input x.npy --weight w.npy --grad-output g.npy --format svg --crop; says '<svg'
good explain --input x.npy --weight w.npy --take 1:2; says 'is all ones'
good explain --input x.npy --weight w.npy --take 1:2 --format json; says '"grad_output": null'
good bench mb1ic1ih4oc1kh3ph1 --algo direct --min-time 0 --format html -o bench.html; says '% peak'
grep -q '"names": \["direct"\]' bench.html && result 1 || result 0 'bench --format html'
good verify mb1ic2ih5oc3kh3ph1 --threads 1,2;  says ', 0 failed'
good verify --input-shape 1,2,6 --weight-shape 3,2,3 --stride 2 --pad 1,0 --algo im2col --type f64
good verify g2mb2ic8ih6iw64oc10kh3ph1 --threads 1,2 --type f32; says ', 0 failed' # sums that grow in the result, and are added to
good bench mb1ic2ih5oc3kh3ph1 --min-time 0 --json b.json --algo reference;  says '% peak'; says 'speed: reference is 1.00x'
grep -q '^{"problem":"mb1ic2oc3_ih5kh3sh1dh0ph1_iw5kw3sw1dw0pw1","pass":"forward","type":"f32","algo":"reference","peer":null,"threads":1,"seconds_min":.*,"seconds_median":.*,"gflops":.*,"workspace_bytes":0.*,"layer":"mb1ic2.*","version":"0.1.0","date":"20.*Z","cpu":".*","isa":".*","command":"convgrad bench mb1ic2ih5oc3kh3ph1 --min-time 0 ' b.json &&
    result 1 || result 0 'bench --json'
good bench mb1ic2ih5oc3kh3sh2ph1 --min-time 0 --type f64; says 'forward     auto: direct'; says 'im2col'; says ', 1 thread'
says 'command: convgrad bench mb1ic2ih5oc3kh3sh2ph1'
grep -q 'reference\|winograd' out && result 0 'bench times more than auto and the exact ones' || result 1
awk 'length > 100' out | grep -q . && result 0 'a table of bench is wider than 100 columns' || result 1
good bench mb1ic16ih9oc16kh3ph1 --min-time 0 --algo winograd6,auto; says 'speed: auto is 1.00x'
good bench mb1ic2ih5oc3kh3sh2ph1 --min-time 0 --algo auto,winograd6 --pass grad_weight; says 'n/a: algo[grad_weight] is winograd6'
good info mb1ic64ih28oc64kh3ph1; says 'structure: mixes neighbours'
good info mb1ic64ih28oc64kh3ph1 --exact; says 'forward: direct'; says 'structure: exact'
bad 2 '--algo is "winograd6"; winograd6 mixes neighbours' verify mb1ic2ih5oc3kh3ph1 --exact --algo winograd6
bad 2 '--error-growth is "5"; --exact means 1' info --exact --error-growth 5
good verify mb1ic2ih5oc3kh3ph1 --exact --threads 1; says 'verify: 1 problem, '
good verify mb1ic2ih5oc3kh3ph1 mb8ic64ih56oc64kh3ph1 --threads 1 --time-limit 4 --type f32; says ', on drawn elements'
good verify --time-limit 3 --threads 1; says 'time limit of 3 s reached'
bad 2 '--time-limit is "x"' verify --time-limit x
begin=$(date +%s)
"$program" verify mb64ic256ih56oc256kh3ph1 --time-limit 2 >out 2>err
[ $(($(date +%s) - begin)) -le 5 ] && says 'time limit' || result 0 'verify does not end at its time limit'
printf '%s\n' 'name,n,c,h,w,k,r,s,stride_h,stride_w,pad_top,pad_left,pad_bottom,pad_right,dilation_h,dilation_w,groups,source' \
    'one,1,2,5,6,4,3,3,2,1,1,1,0,1,1,1,2,me' >shapes.csv
good verify --random 3 --seed 5 --threads 1,2;  says 'verify: 3 problems,'; says ', 0 failed'
bad 2 '--random is "0"' verify --random 0
"$program" verify --random 1000000 --algo direct >out 2>err &
sleep 1; kill -TERM $!; wait $!
[ $? = 1 ] && grep -q '; interrupted' out && result 1 || result 0 'an interrupted verify says what it had'
# Wherever it is, it ends within a second: in the definition of a large problem, or in a result to compare with.
ends() { # WORDS SIGNAL ARGUMENT...
    words=$1 signal=$2
    shift 2
    "$program" "$@" >out 2>err &
    sleep 1; kill -"$signal" $!; sleep 1
    kill -0 $! 2>/dev/null && still=1 || still=0
    wait $!
    [ $? = 1 ] && [ $still = 0 ] && grep -q "$words" out && [ -z "$(ls new 2>/dev/null)" ] && result 1 ||
        result 0 "$2 does not end within a second of $signal"
}
mkdir new
ends '; interrupted' TERM verify mb7ic128oc256_ih102kh3sh1dh0ph0_iw19kw19sw1dw0pw0
ends 'bench: interrupted' TERM bench mb64ic64ih56oc64kh3ph1 --json new/b.json
ends 'bench: interrupted' TERM bench mb64ic64ih56oc64kh3ph1 --algo reference --format html -o new/b.html
rm -r new
"$program" verify mb1ic2ih5oc3kh3ph1 --threads 1 2>err | true
[ ! -s err ] && result 1 || result 0 'a closed pipe is not silent'
good verify --shapes shapes.csv --algo direct;  says 'g2mb1ic2oc4'
good run forward --input x.npy --weight w.npy --bias b.npy -o fwd;  says 'output.npy  f32 2x4x3x3'
good run backward --input x.npy --weight w.npy --grad-output g.npy --mean -o bwd
[ -s bwd/grad_input.npy ] && [ -s bwd/grad_weight.npy ] && [ -s bwd/grad_bias.npy ] && result 1 || result 0 'run backward'
good run transpose --input g.npy --weight w.npy --stride 2 --output-padding 1 -o tr;  says 'f32 2x3x8x8'
bad 2 '--weight is f64 and --input f32; give --type f32 or f64 to convert' run forward --input x.npy --weight w64.npy -o no64
good run forward --input x.npy --weight w64.npy --type f64 --take 1:2 -o fwd64;  says 'f64 1x4x3x3'
good run forward --input=x.npy --weight=w.npy --pad=1 --algo=reference --threads=3 -o fwd
ls fwd bwd tr fwd64 | grep -q part && result 0 'a .part file was left' || result 1

# halves: float16, bfloat16 by ml_dtypes' name, and as words, which come back as they were
for kind in f2:f16 V2:bf16 u2:bf16 u2:f16; do
    for name in x:'2, 3, 5, 5':300 w:'4, 3, 3, 3':216 g:'2, 4, 3, 3':144; do
        rest=${name#*:}
        npy "${name%%:*}h.npy" "<${kind%:*}" False "${rest%:*}" "${rest##*:}"
    done
    good run forward --input xh.npy --weight wh.npy --bias b.npy --type "${kind#*:}" -o halves;  says "${kind#*:} 2x4x3x3"
    good run backward --input xh.npy --weight wh.npy --grad-output gh.npy --type "${kind#*:}" -o halves
    grep -q "'<${kind%:*}'" halves/grad_weight.npy && result 1 || result 0 "a result of ${kind%:*} has another type"
done
bad 2 "must be '<f4', '<f8', '<f2', '<V2' (bfloat16), or '<u2' with --type bf16 or f16" run forward --input xh.npy --weight wh.npy -o no
good verify mb2ic3ih5oc4kh3ph1 --type bf16,f16;  says 'checks passed, 0 failed'
bad 2 'must be some of f32 f64 bf16 f16' verify mb1ic1ih3oc1kh1ph0 --type f8
good info mb2ic16ih9oc16kh3ph1 --type bf16;  says 'problem: bf16'
good bench mb2ic16ih9oc16kh3ph1 --type bf16 --min-time 0.01 --algo direct --json half.json

# IDX images: 2 of 3 x 2, values / 255
{ printf '\000\000\010\003\000\000\000\002\000\000\000\003\000\000\000\002'
  printf '\000\377\063\000\377\063\000\377\063\000\377\063'; } >images.idx
npy w1.npy '<f4' False '1, 1, 1, 1' 4
good run forward --input images.idx --weight w1.npy -o idx;  says 'f32 2x1x3x2'

good bench mb1ic2ih5oc3kh3ph1 g2mb1ic4ih6oc6kh3sh2ph1 --algo direct,im2col --min-time 0
says 'Geometric means of layers; speed 1.00x is that of direct'

# Peers compute what we compute, or bench says so; which there are is up to the build.
"$program" bench --peer nobody 2>err
for peer in $(sed -n 's/.*this build knows//p' err | grep -v 'no peers'); do
    for problem in mb2ic3ih7iw9oc4kh3kw2ph1pw1 g2mb1ic4ih9oc6kh3sh2dh1ph2 mb2ic5ih6oc7kh1ph0 g4mb2ic4ih8oc4kh3ph1 \
        mb2ic3iw20oc4kw5sw2pw2 mb1ic2id5ih6iw7oc3kd2kh3kw3sd1sh2sw1pd1ph1pw1; do
        good bench "$problem" --algo direct --min-time 0 --peer "$peer" --json b.json; says "$peer"
        grep -q "\"algo\":null,\"peer\":\"$peer" b.json && result 1 || result 0 "bench --peer $peer --json $problem"
    done
done
# ---- layouts ----
good info mb2ic8ih9oc8kh3ph1 --layout channels_last; says 'layout channels_last weight krsc'
good info mb2ic8ih9oc8kh3ph1 --stag=axb --dtag axb --weight-layout rsck; says 'layout channels_last weight rsck'
good info mb2ic8ih9oc8kh3ph1 --weight-layout krsc;   says 'out 9x9 weight krsc'
good verify mb2ic8ih9oc8kh3ph1 --layout channels_last --threads 1 --algo direct; says ' --layout channels_last: '; says ' 0 failed'
good bench mb1ic8ih5oc8kh3ph1 --layout channels_last --min-time 0 --algo direct; says 'direct'
bad 2 '--layout is "NHWC"; must be some of channels_first channels_last' verify --layout NHWC
bad 2 '--weight-layout is "hwio"; must be some of kcrs krsc rsck' verify --weight-layout hwio
bad 2 '--dtag is "abx"; input and output have one layout' verify --stag axb --dtag abx
bad 2 'explain does not take --layout' explain simple --layout channels_last
# ---- bad usage ----
bad 2 'no command "tune"' tune
bad 2 'no option --frobnicate' verify --frobnicate
bad 2 'verify does not take --mean' verify --mean
bad 2 '--algo needs a value' verify --algo
bad 2 'stands there twice' verify --algo direct --algo direct
bad 2 '--algo is "winograd9"' verify --algo winograd9
bad 2 '--type is "f8"' verify --type f8
bad 2 '--threads is "two"' verify --threads two
bad 2 '--threads is "-1"' verify --threads -1
bad 2 '--seed is "x"' verify --seed x
bad 2 '--random is "1e30"; must be a whole number' verify --random 1e30
bad 2 '--random is "1.7"; must be a whole number' verify --random 1.7
bad 2 '--algo is "auto,direct,auto"; names auto twice' bench --algo auto,direct,auto
bad 2 '--pass is "forward,forward"; names forward twice' bench --pass forward,forward
bad 2 '--measure is "5"; it needs a problem' info --measure 5
bad 2 '--import is "none.txt"; it needs a problem' info --import none.txt
bad 2 '--measure is "1"; with --algo direct there is nothing' info mb1ic2ih5oc3kh3 --algo direct --measure 1
bad 2 '--pass is "sideways"' bench --pass sideways
bad 2 '--min-time is "-1"' bench --min-time -1
bad 1 'does not fit in memory' bench mb99999999ic512ih999oc512kh3
bad 2 '--peer is "nobody"; this build knows' bench --peer nobody
bad 2 '--plot is gone; bench --format html -o FILE draws' bench --plot x.png
bad 2 'there is no example "simpel"; there are simple and complex' explain simpel
bad 2 '--weight-shape is missing' verify --input-shape 1,3,8,8
bad 2 '--input-shape is missing' bench --weight-shape 1,3,8,8
bad 2 '--format is "yaml"' explain simple --format yaml
bad 2 'explain needs one of' explain
bad 2 'a part of it that fits is mb1ic3oc4_ih28' explain mb64ic3ih28oc4kh3ph1
bad 2 '12,000 elements of all arrays that --format html shows' explain mb64ic3ih28oc4kh3ph1 --format html
bad 2 'however it is cut' explain mb1ic1ih1oc1kh1ph900 --format svg --crop
good explain mb1ic64ih5oc64kh3ph20 --format html --crop; says '"whole": "mb1ic64'
good explain mb0ic1oc1iw300kw1 --format svg --crop; says 'the batch is 0'
bad 2 '--figure is "film"; must be col2img or im2col' explain simple --figure film
bad 2 '--figure is "im2col"; it goes with --format svg' explain simple --figure im2col --format html
bad 2 'bench does not take --crop' bench --crop
bad 2 '--format is "svg"; must be text or html' bench --format svg
bad 2 '-o is "x.html"; bench takes it with --format html' bench -o x.html
bad 2 '--lang is "fr"; must be en or zh' explain simple --lang fr
bad 2 '--lang is "zh"; it goes with --format text and svg' explain simple --lang zh --format html
bad 2 '--crop is "yes"; takes no value' explain simple --crop=yes
bad 2 'demo takes no argument' demo now
bad 2 'run needs one of forward, backward, transpose' run
bad 2 'run is "sideways"' run sideways -o d
bad 2 'run forward needs -o DIRECTORY' run forward --input x.npy --weight w.npy
bad 2 'run forward needs --weight FILE' run forward --input x.npy -o d
bad 2 'run forward does not take --mean' run forward --input x.npy --weight w.npy --mean -o d
bad 2 'run backward needs --grad-output FILE' run backward --input x.npy --weight w.npy -o d

# ---- bad problems ----
bad 2 'mb is missing' verify ic3ih8oc4kh3ph1
bad 2 'ih is missing' verify mb1ic3oc4kh3ph1
bad 2 'cannot read "zz3"' verify mb1ic3ih8oc4kh3ph1zz3
bad 2 'needs a number' verify mb1icih8oc4kh3ph1
bad 2 'stands there twice' verify mb1ic3ih8oc4kh3ph1mb2
bad 2 'does not fit in 64 bits' verify mb1ic99999999999999999999ih8oc4kh3ph1
bad 2 'stride[0] is 0' verify mb1ic3ih8oc4kh3ph1sh0
bad 2 'must be a multiple of groups' verify g2mb1ic3ih8oc4kh3ph1
bad 2 'does not fit in the padded input' verify mb1ic3ih2oc4kh9ph1
bad 2 'oh is 1; the other sizes give' verify mb1ic3ih8oc4oh1kh3ph0pw0
bad 2 'batch 4000000000 x in_channels 4000000000' verify mb4000000000ic4000000000ih8oc4kh3ph1
bad 2 '--stride is "2"; it goes with --input-shape' verify mb1ic3ih8oc4kh3ph1 --stride 2
bad 2 '--pad is "1"; it goes with --input-shape' explain simple --pad 1
bad 2 '--input-shape is' verify mb1ic3ih8oc4kh3ph1 --input-shape 1,2,6 --weight-shape 3,2,3
bad 2 'input has 2 axes' verify --input-shape 1,2 --weight-shape 3,2,3
bad 2 'input is 8x224x224x3, expected N,C,H,W; weight is 64x3x7x7, expected K,C/groups,R,S; input looks like channels last (N,H,W,C)' \
    verify --input-shape 8,224,224,3 --weight-shape 64,3,7,7
bad 2 'weight looks like channels last (R,S,C/groups,K)' verify --input-shape 8,3,224,224 --weight-shape 7,7,3,64
bad 2 'weight looks like channels last (K,R,S,C/groups)' verify --input-shape 8,3,224,224 --weight-shape 64,7,7,3
bad 2 'both look like channels last (N,H,W,C and R,S,C/groups,K)' verify --input-shape 8,224,224,3 --weight-shape 7,7,3,64
bad 2 'both look like channels last (N,W,C and K,S,C/groups)' verify --input-shape 8,224,4 --weight-shape 64,7,4
bad 2 'weight has 3 channels a group' verify --input-shape 1,2,6 --weight-shape 3,3,3
bad 2 '--stride is "1,2,3"' verify --input-shape 1,2,6 --weight-shape 3,2,3 --stride 1,2,3
bad 2 '--pad is "1,x"' verify --input-shape 1,2,6 --weight-shape 3,2,3 --pad 1,x
bad 2 'pad_begin[0] is -1' verify --input-shape 1,2,6 --weight-shape 3,2,3 --pad -1
bad 2 'nowhere.csv: No such file' verify --shapes nowhere.csv
printf 'a,b,c\n' >bad.csv
bad 2 'bad.csv:1: the header must begin with' verify --shapes bad.csv
{ head -1 shapes.csv; echo 'one,1,2,5,x,4,3,3,2,1,1,1,0,1,1,1,2,me'; } >bad.csv
bad 2 'bad.csv:2: column 5 is "x"' verify --shapes bad.csv
{ head -1 shapes.csv; echo 'one,1,2,5'; } >bad.csv
bad 2 'bad.csv:2: column 5 is ""' verify --shapes bad.csv
: >empty.csv
bad 2 'empty.csv:1: the header' verify --shapes empty.csv

# ---- bad files: each as the input of run ----
bad_input() { # WORDS FILE
    bad 2 "$1" run forward --input "$2" --weight w.npy -o never
}
bad_input 'missing.npy: No such file' missing.npy
: >empty.npy;                                              bad_input 'too short' empty.npy
printf 'hello, world\n' >text.npy;                         bad_input 'neither .npy nor IDX' text.npy
head -c 9 x.npy >cut.npy;                                  bad_input 'truncated in its header' cut.npy
head -c 100 x.npy >cut.npy;                                bad_input 'truncated in its header' cut.npy
head -c 700 x.npy >cut.npy;                                bad_input 'is truncated: has 572 of 600 data bytes' cut.npy
{ cat x.npy; printf 'x'; } >long.npy;                      bad_input 'has more data than its header says' long.npy
npy f.npy '<f4' True '2, 3, 5, 5' 600;                     bad_input 'Fortran order' f.npy
npy f.npy '>f4' False '2, 3, 5, 5' 600;                    bad_input "its dtype is '>f4'" f.npy
npy f.npy '<i8' False '2, 3, 5, 5' 1200;                   bad_input "its dtype is '<i8'" f.npy
npy f.npy '<c8' False '2, 3, 5, 5' 1200;                   bad_input "its dtype is '<c8'" f.npy
npy f.npy "$(printf '\033]0;')" False '5, 5' 100;         bad_input "its dtype is '?]0;'" f.npy
npy f.npy '<f4' False '5, 5' 100;                          bad_input 'input has 2 axes; must have 3 to 5' f.npy
npy f.npy '<f4' False '' 4;                                bad_input 'input has 0 axes' f.npy
npy f.npy '<f4' False '1,1,1,1,1,1' 4;                     bad_input 'input has 6 axes' f.npy
npy f.npy '<f4' False '1,1,1,1,1,1,1,1,1' 4;               bad_input 'its shape' f.npy
npy f.npy '<f4' False '2, -3, 5, 5' 600;                   bad_input 'its shape' f.npy
npy f.npy '<f4' False '99999999999999999999, 1' 4;         bad_input 'its shape' f.npy
npy f.npy '<f4' False '4000000000, 4000000000, 9, 9' 4;    bad_input 'does not fit in memory' f.npy
npy f.npy '<f4' False '2, 3, 5, 0' 0;                      bad_input 'in[1] is 0' f.npy
npy f.npy '<f4' False '2, 4, 5, 5' 800;                    bad_input 'weight has 3 channels a group; input has 4' f.npy
printf '\223NUMPY\011\000\166\000' >f.npy;                 bad_input 'version 9' f.npy
printf '\223NUMPY\001\000\004\000{}  ' >f.npy;             bad_input 'lacks descr' f.npy
printf '\000\000\015\003\000\000\000\001' >f.idx;          bad_input 'IDX of type 0x0d' f.idx
printf '\000\000\010\001\000\000\000\001\001' >f.idx;      bad_input 'rank 1' f.idx
head -c 18 images.idx >f.idx;                              bad_input 'is truncated: has 2 of 12' f.idx
mkdir folder;                                              bad_input 'folder: is no file' folder
if [ "$(id -u)" != 0 ]; then
    cp x.npy secret.npy && chmod 0 secret.npy;             bad_input 'Permission denied' secret.npy
fi
bad 2 'weight has 1 axes and input 4' run forward --input x.npy --weight b.npy -o never
bad 2 '--bias has shape 4x3x3x3; must be 4' run forward --input x.npy --weight w.npy --bias w.npy -o never
bad 2 '--grad-output has shape 2x3x5x5; must be 2x4x3x3' run backward --input x.npy --weight w.npy --grad-output x.npy -o never
bad 2 'takes 1:9 of a batch of 2' run forward --input x.npy --weight w.npy --take 1:9 -o never
bad 2 'takes 1:9 of a batch of 2' explain --input x.npy --weight w.npy --take 1:9
bad 2 'takes images of --input' explain simple --take 0:1
bad 2 '--weight is missing' explain --input x.npy --take 0:1
bad 2 '--take is "one"' run forward --input x.npy --weight w.npy --take one -o never
bad 2 'must be less than the stride' run transpose --input g.npy --weight w.npy --output-padding 1 -o never
bad 2 '--weight has 4 input channels; --input has 3' run transpose --input x.npy --weight w.npy -o never
bad 2 '--pad is -1 on axis 0' run transpose --input g.npy --weight w.npy --pad -1 -o never
bad 2 '--stride is 0 on axis 0' run transpose --input g.npy --weight w.npy --stride 0 -o never
bad 2 'would have -1 elements' run transpose --input g.npy --weight w.npy --pad 3 -o never
bad 2 'does not fit in the padded input' run forward --input x.npy --weight w.npy --dilation 3 -o never
[ -e never ] && result 0 'a failed run left its directory' || result 1

# ---- output that cannot be written ----
bad 1 'No such file' run forward --input x.npy --weight w.npy -o no/such/place
bad 1 'x.npy' run forward --input x.npy --weight w.npy -o x.npy
bad 1 'No such file' explain simple -o no/such/place.txt
bad 1 'No such file' bench mb1ic1ih1oc1kh1ph0 --json no/such/place.json
mkdir full && mkdir full/output.npy
bad 1 'output.npy' run forward --input x.npy --weight w.npy -o full
mkdir half half/grad_bias.npy
bad 1 'grad_bias.npy is there and is no plain file' run backward --input x.npy --weight w.npy --grad-output g.npy -o half
[ "$(ls half)" = grad_bias.npy ] && result 1 || result 0 'a failed run left results'
ls full | grep -q part && result 0 'a .part file was left' || result 1
echo old >target; ln -s target link
good explain simple -o link
[ -L link ] && grep -q col_x target && result 1 || result 0 'explain -o replaced a link'
good explain simple -o /dev/null
[ -c /dev/null ] && result 1 || result 0 'explain -o replaced a device'
CVG_ISA=portable "$program" info >out 2>err
case $(uname -m) in
x86_64 | i?86) grep -q 'portable, without fused multiply-add: not the bits' out && result 1 || result 0 'portable does not say that its bits are its own' ;;
esac
CVG_ISA=bogus "$program" info >out 2>err
[ $? = 2 ] && grep -q 'CVG_ISA is "bogus"' err && result 1 || result 0 'info with a CVG_ISA that is none'
if [ -w /dev/full ]; then
    for words in 'explain simple' --help; do
        # shellcheck disable=SC2086
        "$program" $words >/dev/full 2>err
        [ $? = 1 ] && grep -q '^convgrad: ' err && result 1 || result 0 "$words on a full disk"
    done
fi

echo "$passed checks passed, $failed failed"
[ $failed = 0 ]
