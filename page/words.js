/** All that the page says, in two languages.  {name} is replaced: by an array's name, or by what a message names. */
'use strict';

/**
 * What frameworks call the textbook's arrays.
 * @type {Record<string, string>}
 */
const FRAMEWORK_NAMES = {
    x: 'input',
    w: 'weight',
    delta_in: 'grad_output',
    col_x: 'input_col',
    col_w: 'weight_mat',
    y: 'output',
    delta_in_2d: 'grad_output_mat',
    dB: 'grad_bias',
    dW_col: 'grad_weight_mat',
    dW: 'grad_weight',
    dcol: 'grad_col',
    delta_out: 'grad_input',
    input_padded: 'input_padded',
    dz_stride_1: 'grad_output_stuffed',
    dz_padded: 'grad_output_padded',
    rot_weights: 'weight_rotated'
};

/** @type {Record<string, Record<string, string>>} */
const WORDS = {
    en: {
        title: 'How a convolution learns',
        language: 'Language',
        names: 'Names',
        names_textbook: 'the textbook’s names',
        names_framework: 'frameworks’ names',
        theme: 'Colours',
        theme_auto: 'system colours',
        theme_light: 'light colours',
        theme_dark: 'dark colours',
        show_film: 'Show me col2img',
        example: 'Problem',
        example_program: 'this page’s own',
        example_simple: 'simple',
        example_complex: 'complex',
        example_stride: 'stride 2',
        example_padding: 'padding 1',
        example_own: 'your own …',
        counts: 'no,one,two,three,four,five,six,seven,eight,nine,ten,eleven,twelve',
        comma: ', ',
        stop: '.',
        images_1: '{count} sequence of {size}|{count} sequences of {size}',
        images_2: '{count} image of {size}|{count} images of {size}',
        images_3: '{count} volume of {size}|{count} volumes of {size}',
        with_channels: ' with {count} channel| with {count} channels',
        filters: '{count} filter of {size}|{count} filters of {size}',
        with_stride: 'stride {number}',
        with_padding: 'padding {number}',
        begins_first: ' (before, then after)',
        with_dilation: 'dilation {number}',
        with_groups: '{number} groups',
        counting: 'The numbers are 0, 1, 2, ..., as in the textbook.',
        files: 'Numbers from {input} (input) and {weight} (weight).',
        files_gradient: '{delta_in} is from {grad_output}.',
        files_ones: 'No file was given for {delta_in}: it is all ones, as if the loss were the sum of {y}.',
        cropped: '{whole} is too large to draw. This is a part of it, computed as a problem of its own: its sums ' +
                     'hold nothing of what was cut off.',
        given: 'What is given',
        given_text:
            'A layer takes images {x}, slides its filters {w} over them and gives {y}. From the next layer ' +
                'comes {delta_in}: how much the loss grows with each element of the output. Wanted are the same ' +
                'for the filters, {dW}, for the biases, {dB}, and for the images, {delta_out}.',
        letters_1:
            'Index letters: n counts the sequences, c their channels, w the places in a sequence; k counts the ' +
                'filters, s the places in a filter; q counts the places in an output. So n0 c1 is sequence 0, ' +
                'channel 1.',
        letters_2:
            'Index letters: n counts the images, c their channels, h w the rows and columns of an image; k ' +
                'counts the filters, r s the rows and columns of a filter; p q those of an output. So n0 c1 is ' +
                'image 0, channel 1.',
        letters_3:
            'Index letters: n counts the volumes, c their channels, d h w the slices, rows and columns of a ' +
                'volume; k counts the filters, t r s the slices, rows and columns of a filter; o p q those of an ' +
                'output. So n0 c1 is volume 0, channel 1.',
        what_if: 'What if? Your own problem',
        what_if_text:
            'Two numbers, such as 4,5, are for rows and columns; one is for both. An array whose shape changes ' +
                'is filled with 0, 1, 2, ... To change one number of {x}, {w} or {delta_in}, choose its cell.',
        field_batch: 'images N',
        field_in_channels: 'channels C',
        field_in: 'image size',
        field_out_channels: 'filters K',
        field_filter: 'filter size',
        field_stride: 'stride',
        field_padding: 'padding',
        field_dilation: 'dilation',
        field_groups: 'groups',
        apply: 'Apply',
        reset: 'Back to the first problem',
        numbers_1: 'one whole number',
        numbers_many: 'up to {count} whole numbers',
        bad_list: '{field} is “{text}”; must be {count} from {least} to {most}, such as {example}.',
        forward: 'Forward, by method 2',
        forward_text:
            'img2col copies the window under the filter at every output pixel into a row of {col_x}. Each ' +
                'filter is a column of {col_w}. Then the whole convolution is one matrix product, whose row for a ' +
                'pixel becomes that pixel of {y}.',
        what_if_numbers: 'These numbers are computed by this page’s own engine; the C program would compute the same.',
        made_of: 'The program made this page of',
        hint_choose: 'Point at a number, or tap it: its sum appears here.',
        hint_keep: 'Click, tap or press Space to keep it.',
        hint_pinned: 'Click it again or press Escape to let it go. Names lead to their cells.',
        why_example: 'For example:',
        legend: 'In the arrays:',
        film_step: 'Step {step} of {count}:',
        film_im2col_step:
            'the window of pixel {pixel} becomes row {row} of {col_x}; its products with {col_w} add up to ' +
                'that pixel of {y}.',
        film_col2img_step: 'row {row} of {dcol} is added to where the window of pixel {pixel} was.',
        sofar: 'so far',
        mark_here: 'this cell',
        mark_from: 'it is made of',
        mark_far_from: 'and they, in turn, of',
        mark_into: 'it flows into',
        mark_far_into: 'and from there into',
        from_library:
            'All numbers on this page were computed by the C program; its largest difference between method 1, ' +
                'method 2 and the library is {difference}. This page’s own engine found the same numbers in all ' +
                '{cells} cells.',
        engine_differs:
            'This page’s own engine differs from the C program in {count} of {cells} cells. Please report it.',
        backward: 'Backward, by method 2',
        backward_text:
            'Everything follows from one fact: an output and an input element are connected by one tap of the ' +
                'filter. Going back, the chain rule adds over all connections, and the product that made {y} gives ' +
                'two products: one for {dW}, one for {dcol}.',
        method1: 'Backward, by method 1',
        method1_text:
            'The same gradients without matrices: zeros are put between the elements of {delta_in} where the ' +
                'stride jumped, it is padded, and the filter, turned by 180 degrees (reversed along every axis), ' +
                'slides over it. For {dW} the same stuffed array slides over the padded input.',
        same: 'Why both are the same',
        same_text: 'Choose a cell of {delta_out}, {dW} or {y}. Written out in what is given, both methods add the ' +
                       'same products; method 1 adds some products with zeros that it stuffed in as well.',
        same_none: 'No cell of {delta_out}, {dW} or {y} is chosen.',
        same_count:
            '{cell}: {count} products in both methods; method 1 multiplies {zeros} more by a zero that it put ' +
                'there, method 2 {zeros2} by a zero of the padding or of another group.',
        same_mean: 'Their sum is then divided by the batch, {N}.',
        same_product: 'product',
        same_value: 'value',
        same_method2: 'method 2, through',
        same_method1: 'method 1, through',
        same_more: '... and {count} more',
        why_given: 'given',
        why_padding: '0: padding',
        why_other_group: '0: filter and channel belong to different groups',
        why_unused: '0: no window covers it',
        why_stuffed: '0: put between the elements that the stride skipped',
        why_method: 'method {method}',
        why_more: '... {count} more',
        why_title: 'The sum of the chosen cell',
        why_pinned: 'kept',
        why_change: 'Change it to',
        why_close: 'Close',
        why_flows: 'flows into',
        not_a_number: '“{text}” is not a number.',
        film_im2col: 'Film: img2col and the product',
        film_im2col_text: 'Each step takes the window of one output pixel.',
        film_col2img: 'Film: col2img, as in figure 17-30',
        film_col2img_text:
            'Each row of {dcol} has a colour. Each step adds one row to the image, where its window was. The ' +
                'dots under a number tell which rows it has got.',
        film_rotated: 'Film: the turned filter slides',
        film_rotated_text:
            'Each step lays {rot_weights} on {dz_padded} and adds up the products: one cell of {delta_out}.',
        film_begin: 'Nothing has been moved yet.',
        film_padding: '{count} fall on the padding and are dropped',
        play: 'Play',
        pause: 'Pause',
        back: 'Step back',
        ahead: 'Step forward',
        speed: 'Speed',
        position: 'Step',
        empty: 'empty: the batch is 0',
        mean_note: 'The textbook divides by the batch, {N}; frameworks do not.',
        groups_note: 'c counts within the group of k here; where channel and filter belong to different groups, the ' +
                         'matrix holds 0.',
        bad_groups: 'groups is {groups}; must divide both {C} and {K} channels.',
        too_long: 'The filter reaches over {extent} elements of axis {axis}; the padded input has {padded}.',
        too_large: 'The arrays would have {cells} elements together; this page draws at most {most}.',
        about_x: 'the images',
        about_w: 'the filters',
        about_delta_in: 'the gradient that comes in from the next layer',
        about_col_x: 'a row for each output pixel: what the filter sees there. Columns: channel, then place in the ' +
                         'filter.',
        about_col_w: 'a column for each filter',
        about_y: 'what the layer gives on',
        about_delta_in_2d: 'the incoming gradient, a row for each output pixel',
        about_dB: 'a bias is added to every pixel of its channel, so its gradient is the sum over them: here, as in ' +
                      'the textbook, divided by the batch.',
        about_dW_col:
            'each weight met, at each pixel, the input element in {col_x}: their products with the incoming ' +
                'gradient add up.',
        about_dW: 'the same numbers in the shape of the filters',
        about_dcol: 'each element of {col_x} went into every filter’s sum, so what comes back is the sum over the ' +
                        'filters.',
        about_delta_out:
            'each image element was copied to several rows of {col_x}, so what those rows get is added. The ' +
                'gradient that goes on to the layer before.',
        about_input_padded: 'the images with zeros around them',
        about_dz_stride_1: 'the incoming gradient with zeros where the stride jumped, as if the stride were 1',
        about_dz_padded: 'the same, padded by (filter - 1) · dilation - padding, so that the turned filter can begin ' +
                             'outside; cropped where that is negative.',
        about_rot_weights:
            'the filters reversed along every axis, in an image turned by 180 degrees: going back, the pixel ' +
                'runs backwards as the tap runs forwards.',
    },
    zh: {
        title: '卷积是怎样学习的',
        language: '语言',
        names: '名称',
        names_textbook: '教材的名称',
        names_framework: '框架的名称',
        theme: '颜色',
        theme_auto: '颜色：跟随系统',
        theme_light: '浅色',
        theme_dark: '深色',
        show_film: '演示 col2img',
        example: '问题',
        example_program: '本页的问题',
        example_simple: 'simple（简单）',
        example_complex: 'complex（复杂）',
        example_stride: '步长 2',
        example_padding: '填充 1',
        example_own: '自己的……',
        counts: '零,一,两,三,四,五,六,七,八,九,十',
        comma: '，',
        stop: '。',
        images_1: '{count}个长 {size} 的序列',
        images_2: '{count}张 {size} 的图像',
        images_3: '{count}个 {size} 的立体图像',
        with_channels: '（各有{count}个通道）',
        filters: '{count}个 {size} 的卷积核',
        with_stride: '步长 {number}',
        with_padding: '填充 {number}',
        begins_first: '（先前端，后末端）',
        with_dilation: '膨胀率 {number}',
        with_groups: '分 {number} 组',
        counting: '数字依次是 0、1、2……，与教材相同。',
        files: '数字来自 {input}（input）和 {weight}（weight）。',
        files_gradient: '{delta_in} 来自 {grad_output}。',
        files_ones: '没有给出 {delta_in} 的文件：它全是 1，就像损失是 {y} 的和。',
        cropped: '{whole} 太大，画不下。这是它的一部分，当作一个独立的问题来计算：被裁掉的部分不参与求和。',
        given: '已知',
        given_text:
            '一层接收图像 {x}，让卷积核 {w} 在上面滑动，得到 {y}。后一层传回 {delta_in}：损失随输出的每个元素变化的快慢。要求的是含义相同的梯度：卷积核的 {dW}、偏置的 {dB}、' +
                '图像的 {delta_out}。',
        letters_1:
            '下标字母：n 是第几个序列，c 是通道，w 是序列中的位置；k 是第几个卷积核，s 是卷积核中的位置；q 是输出中的位置。例如 n0 c1 是序列 0 的通道 1。',
        letters_2:
            '下标字母：n 是第几张图像，c 是通道，h w 是图像的行和列；k 是第几个卷积核，r s 是卷积核的行和列；p q 是输出的行和列。例如 n0 c1 是图像 0 的通道 1。',
        letters_3:
            '下标字母：n 是第几个立体图像，c 是通道，d h w 是它的层、行和列；k 是第几个卷积核，t r s 是卷积核的层、行和列；o p q 是输出的层、行和列。例如 n0 c1 是立体图像 0 ' +
                '的通道 1。',
        what_if: '如果……会怎样？自己的问题',
        what_if_text:
            '两个数字，例如 4,5，分别用于行和列；一个数字则两者都用。形状改变的数组会重新填入 0、1、2……要修改 {x}、{w} 或 {delta_in} 的一个数字，请选中它的格子。',
        field_batch: '图像数 N',
        field_in_channels: '通道数 C',
        field_in: '图像大小',
        field_out_channels: '卷积核数 K',
        field_filter: '卷积核大小',
        field_stride: '步长',
        field_padding: '填充',
        field_dilation: '膨胀率（空洞）',
        field_groups: '分组数',
        apply: '应用',
        reset: '回到最初的问题',
        numbers_1: '一个整数',
        numbers_many: '最多 {count} 个整数',
        bad_list: '{field}是“{text}”；应为{count}，在 {least} 到 {most} 之间，例如 {example}。',
        forward: '前向计算：方法2',
        forward_text:
            'img2col 把每个输出像素处卷积核盖住的窗口抄成 {col_x} 的一行。每个卷积核是 {col_w} 的一列。于是整个卷积就是一次矩阵乘法，一个像素对应的行变成 {y} 中的那个像素。',
        what_if_numbers: '这些数字由本页自带的引擎计算，与 C 程序会算出的一样。',
        made_of: '程序制作本页时所用的问题：',
        hint_choose: '指向或轻触一个数字：它的算式会显示在这里。',
        hint_keep: '单击、轻触或按空格键可以固定它。',
        hint_pinned: '再次单击或按 Esc 键取消固定。点击名称可以跳到那个格子。',
        why_example: '例如：',
        legend: '数组中的标记：',
        film_step: '第 {step} 步，共 {count} 步：',
        film_im2col_step: '像素 {pixel} 的窗口成为 {col_x} 的第 {row} 行；它与 {col_w} 的乘积之和就是 {y} 的那个像素。',
        film_col2img_step: '{dcol} 的第 {row} 行加到像素 {pixel} 的窗口所在的位置。',
        sofar: '（到此为止）',
        mark_here: '当前格子',
        mark_from: '由它们组成',
        mark_far_from: '它们又来自',
        mark_into: '流向',
        mark_far_into: '再流向',
        from_library:
            '本页所有数字都由 C 程序算出；方法1、方法2与库之间的最大差异是 {difference}。本页自带的引擎在全部 {cells} 个格子上得到相同的数字。',
        engine_differs: '本页自带的引擎与 C 程序在 {cells} 个格子中有 {count} 个不同，请报告此问题。',
        backward: '反向传播：方法2',
        backward_text:
            '一切都来自一个事实：输出元素与输入元素由卷积核的一个权重相连。反向时，链式法则对所有连接求和，得到 {y} 的那次乘法变成两次乘法：一次得 {dW}，一次得 {dcol}。',
        method1: '反向传播：方法1',
        method1_text:
            '不用矩阵也能得到同样的梯度：在 {delta_in} 中步长跳过的地方补零，再加填充，然后让旋转180度的卷积核在上面滑动。求 {dW} 时，补零后的数组在填充后的输入上滑动。',
        same: '两种方法为何相同',
        same_text:
            '选中 {delta_out}、{dW} 或 {y} 的一个格子。展开成已知量以后，两种方法相加的是同样的乘积；方法1还会多乘一些自己补进去的零。',
        same_none: '没有选中 {delta_out}、{dW} 或 {y} 的格子。',
        same_count:
            '{cell}：两种方法都有 {count} 个乘积；方法1另有 {zeros} 次乘以自己补的零，方法2有 {zeros2} 次乘以填充或其他组的零。',
        same_mean: '它们的和再除以批量 {N}。',
        same_product: '乘积',
        same_value: '值',
        same_method2: '方法2经过',
        same_method1: '方法1经过',
        same_more: '……还有 {count} 个',
        why_given: '已知',
        why_padding: '0：填充',
        why_other_group: '0：卷积核与通道不在同一组',
        why_unused: '0：没有窗口盖住它',
        why_stuffed: '0：补在步长跳过的元素之间',
        why_method: '方法{method}',
        why_more: '……还有 {count} 项',
        why_title: '所选格子的算式',
        why_pinned: '已固定',
        why_change: '改为',
        why_close: '关闭',
        why_flows: '流向',
        not_a_number: '“{text}”不是数字。',
        film_im2col: '动画：img2col 与矩阵乘法',
        film_im2col_text: '每一步取一个输出像素的窗口。',
        film_col2img: '动画：col2img，如图17-30',
        film_col2img_text:
            '{dcol} 的每一行有一种颜色。每一步把一行加到图像中它的窗口所在的位置。数字下面的圆点表示它已经得到了哪几行。',
        film_rotated: '动画：旋转后的卷积核滑动',
        film_rotated_text: '每一步把 {rot_weights} 放在 {dz_padded} 上，把乘积相加，得到 {delta_out} 的一个格子。',
        film_begin: '还没有移动任何数字。',
        film_padding: '{count} 个落在填充上，丢弃',
        play: '播放',
        pause: '暂停',
        back: '后退一步',
        ahead: '前进一步',
        speed: '速度',
        position: '步',
        empty: '空：批量为 0',
        mean_note: '教材除以批量 {N}；框架不除。',
        groups_note: '这里 c 在 k 所在的组内计数；通道与卷积核不同组的地方，矩阵里是 0。',
        bad_groups: '分组是 {groups}；必须能整除通道数 {C} 和 {K}。',
        too_long: '卷积核在第 {axis} 轴上跨越 {extent} 个元素；填充后的输入只有 {padded} 个。',
        too_large: '所有数组合计将有 {cells} 个元素；本页最多画 {most} 个。',
        about_x: '图像',
        about_w: '卷积核',
        about_delta_in: '后一层传来的梯度（输入误差）',
        about_col_x: '每个输出像素一行：卷积核在那里看到的内容。列的顺序：先通道，再卷积核内的位置。',
        about_col_w: '每个卷积核一列',
        about_y: '这一层的输出',
        about_delta_in_2d: '传来的梯度，每个输出像素一行',
        about_dB: '偏置加到它所在通道的每个像素上，所以它的梯度是这些像素之和；这里同教材一样再除以批量。',
        about_dW_col: '每个权重在每个像素处遇到 {col_x} 中的输入元素：它们与传来的梯度相乘后相加。',
        about_dW: '同样的数字，按卷积核的形状排列',
        about_dcol: '{col_x} 的每个元素进入了每个卷积核的和，所以传回来的是对卷积核求和。',
        about_delta_out:
            '每个图像元素被抄到 {col_x} 的若干行，所以这些行得到的值要相加。这是传给前一层的梯度（输出误差）。',
        about_input_padded: '四周补零的图像',
        about_dz_stride_1: '传来的梯度，在步长跳过的地方补零，就像步长为1一样',
        about_dz_padded: '再填充 (卷积核 - 1) · 膨胀 - 填充，让旋转后的卷积核可以从外面开始；为负时则裁剪。',
        about_rot_weights: '每个轴都反过来的卷积核，对图像来说就是旋转180度：反向时，权重向前走，像素就向后走。',
    },
};

/**
 * The formula that made each array; say.js puts the letters and the numbers of the problem in.
 * @type {Record<string, string>}
 */
const FORMULAS = {
    x: '{x}[n, c, {in}]',
    w: '{w}[k, c, {tap}]',
    delta_in: '{delta_in} = ∂Loss / ∂{y}',
    col_x: '{col_x}[(n, {out}), (c, {tap})] = {x}[n, c, {meet}]',
    col_w: '{col_w}[(c, {tap}), k] = {w}[k, c, {tap}]',
    y: '{y} = {col_x} · {col_w}',
    delta_in_2d: '{delta_in_2d}[(n, {out}), k] = {delta_in}[n, k, {out}]',
    dB: '{dB}[k] = Σ {delta_in_2d}[(n, {out}), k] / N',
    dW_col: '{dW_col} = {col_x}ᵀ · {delta_in_2d} / N',
    dW: '{dW}[k, c, {tap}] = {dW_col}[(c, {tap}), k]',
    dcol: '{dcol} = {delta_in_2d} · {col_w}ᵀ',
    delta_out: '{delta_out} = col2img({dcol})',
    input_padded: '{input_padded} = pad({x})',
    dz_stride_1: '{dz_stride_1}[n, k, {stuffed}] = {delta_in}[n, k, {out}]',
    dz_padded: '{dz_padded} = pad({dz_stride_1})',
    rot_weights: '{rot_weights}[k, c, {tap}] = {w}[k, c, {turned}]'
};
