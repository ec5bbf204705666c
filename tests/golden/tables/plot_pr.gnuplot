set encoding utf8
set terminal svg size 660,876 dynamic fontscale 1 font 'sans-serif,12' background rgb '#ffffff'
set border 3 lw 0.8
set tics nomirror out scale 0.6
set grid ytics lc rgb '#c8c8c8' lw 0.6 dt 1
set style line 1 lc rgb '#000000' lw 1.8 dt 1 pt 7 ps 0.7
set style line 2 lc rgb '#e69f00' lw 1.8 dt 2 pt 5 ps 0.7
set style line 3 lc rgb '#0072b2' lw 1.8 dt 1 pt 9 ps 0.7
set style line 4 lc rgb '#cc79a7' lw 1.8 dt 4 pt 13 ps 0.7
$p0s0 << EOD
0.2 0.85 0.0707107
0.6 0.65 0.0707107
1 0.35 0.0707107
EOD
$p0s1 << EOD
0.2 0.85 0.0707107
0.6 0.65 0.0707107
1 0.35 0.0707107
EOD
$p0s2 << EOD
0.2 0.85 0.0707107
0.6 0.65 0.0707107
1 0.35 0.0707107
EOD
$p1s0 << EOD
0.2 0.85 0.0707107
0.6 0.65 0.0707107
1 0.35 0.0707107
EOD
$p1s1 << EOD
0.2 0.85 0.0707107
0.6 0.65 0.0707107
1 0.35 0.0707107
EOD
$p1s2 << EOD
0.2 0.85 0.0707107
0.6 0.65 0.0707107
1 0.35 0.0707107
EOD
$p2s0 << EOD
0.2 0.85 0.0707107
0.6 0.65 0.0707107
1 0.35 0.0707107
EOD
$p2s1 << EOD
0.2 0.85 0.0707107
0.6 0.65 0.0707107
1 0.35 0.0707107
EOD
$p2s2 << EOD
0.2 0.85 0.0707107
0.6 0.65 0.0707107
1 0.35 0.0707107
EOD
$p3s0 << EOD
0.2 0.85 0.0707107
0.6 0.65 0.0707107
1 0.35 0.0707107
EOD
$p3s1 << EOD
0.2 0.85 0.0707107
0.6 0.65 0.0707107
1 0.35 0.0707107
EOD
$p3s2 << EOD
0.2 0.85 0.0707107
0.6 0.65 0.0707107
1 0.35 0.0707107
EOD
$p4s0 << EOD
0.2 0.85 0.0707107
0.6 0.65 0.0707107
1 0.35 0.0707107
EOD
$p5s0 << EOD
0.2 0.85 0.0707107
0.6 0.65 0.0707107
1 0.35 0.0707107
EOD
set multiplot
set label 1 'Precision and recall of defended retrieval' at screen 0.5,0.98059 center noenhanced font ',13'
set lmargin at screen 0.09394
set rmargin at screen 0.47879
set tmargin at screen 0.93151
set bmargin at screen 0.71233
set title 'no attack, image → text' noenhanced offset 0,-0.5
set xlabel 'recall' noenhanced offset 0,0.3
set ylabel 'precision' noenhanced
set xrange [0:1]
set yrange [0:1]
set xtics 0.2
set ytics 0.2
unset key
plot $p0s0 using 1:($2-$3):($2+$3) with filledcurves fc rgb '#000000' fs transparent solid 0.18 noborder notitle, \
  $p0s1 using 1:($2-$3):($2+$3) with filledcurves fc rgb '#e69f00' fs transparent solid 0.18 noborder notitle, \
  $p0s2 using 1:($2-$3):($2+$3) with filledcurves fc rgb '#0072b2' fs transparent solid 0.18 noborder notitle, \
  $p0s0 using 1:2 with lines ls 1 notitle, \
  $p0s0 every 1::0 using 1:2 with points ls 1 notitle, \
  $p0s1 using 1:2 with lines ls 2 notitle, \
  $p0s1 every 1::0 using 1:2 with points ls 2 notitle, \
  $p0s2 using 1:2 with lines ls 3 notitle, \
  $p0s2 every 1::0 using 1:2 with points ls 3 notitle
unset label 1
set lmargin at screen 0.59394
set rmargin at screen 0.97879
set tmargin at screen 0.93151
set bmargin at screen 0.71233
set title 'no attack, text → image' noenhanced offset 0,-0.5
set xlabel 'recall' noenhanced offset 0,0.3
set ylabel '' noenhanced
set xrange [0:1]
set yrange [0:1]
set xtics 0.2
set ytics 0.2
unset key
plot $p1s0 using 1:($2-$3):($2+$3) with filledcurves fc rgb '#000000' fs transparent solid 0.18 noborder notitle, \
  $p1s1 using 1:($2-$3):($2+$3) with filledcurves fc rgb '#e69f00' fs transparent solid 0.18 noborder notitle, \
  $p1s2 using 1:($2-$3):($2+$3) with filledcurves fc rgb '#cc79a7' fs transparent solid 0.18 noborder notitle, \
  $p1s0 using 1:2 with lines ls 1 notitle, \
  $p1s0 every 1::0 using 1:2 with points ls 1 notitle, \
  $p1s1 using 1:2 with lines ls 2 notitle, \
  $p1s1 every 1::0 using 1:2 with points ls 2 notitle, \
  $p1s2 using 1:2 with lines ls 4 notitle, \
  $p1s2 every 1::0 using 1:2 with points ls 4 notitle
unset label 1
set lmargin at screen 0.09394
set rmargin at screen 0.47879
set tmargin at screen 0.62329
set bmargin at screen 0.40411
set title 'PGD, image → text' noenhanced offset 0,-0.5
set xlabel 'recall' noenhanced offset 0,0.3
set ylabel 'precision' noenhanced
set xrange [0:1]
set yrange [0:1]
set xtics 0.2
set ytics 0.2
unset key
plot $p2s0 using 1:($2-$3):($2+$3) with filledcurves fc rgb '#000000' fs transparent solid 0.18 noborder notitle, \
  $p2s1 using 1:($2-$3):($2+$3) with filledcurves fc rgb '#e69f00' fs transparent solid 0.18 noborder notitle, \
  $p2s2 using 1:($2-$3):($2+$3) with filledcurves fc rgb '#0072b2' fs transparent solid 0.18 noborder notitle, \
  $p2s0 using 1:2 with lines ls 1 notitle, \
  $p2s0 every 1::0 using 1:2 with points ls 1 notitle, \
  $p2s1 using 1:2 with lines ls 2 notitle, \
  $p2s1 every 1::0 using 1:2 with points ls 2 notitle, \
  $p2s2 using 1:2 with lines ls 3 notitle, \
  $p2s2 every 1::0 using 1:2 with points ls 3 notitle
unset label 1
set lmargin at screen 0.59394
set rmargin at screen 0.97879
set tmargin at screen 0.62329
set bmargin at screen 0.40411
set title 'PGD, text → image' noenhanced offset 0,-0.5
set xlabel 'recall' noenhanced offset 0,0.3
set ylabel '' noenhanced
set xrange [0:1]
set yrange [0:1]
set xtics 0.2
set ytics 0.2
unset key
plot $p3s0 using 1:($2-$3):($2+$3) with filledcurves fc rgb '#000000' fs transparent solid 0.18 noborder notitle, \
  $p3s1 using 1:($2-$3):($2+$3) with filledcurves fc rgb '#e69f00' fs transparent solid 0.18 noborder notitle, \
  $p3s2 using 1:($2-$3):($2+$3) with filledcurves fc rgb '#cc79a7' fs transparent solid 0.18 noborder notitle, \
  $p3s0 using 1:2 with lines ls 1 notitle, \
  $p3s0 every 1::0 using 1:2 with points ls 1 notitle, \
  $p3s1 using 1:2 with lines ls 2 notitle, \
  $p3s1 every 1::0 using 1:2 with points ls 2 notitle, \
  $p3s2 using 1:2 with lines ls 4 notitle, \
  $p3s2 every 1::0 using 1:2 with points ls 4 notitle
unset label 1
set lmargin at screen 0.09394
set rmargin at screen 0.47879
set tmargin at screen 0.31507
set bmargin at screen 0.09589
set title 'PGD adaptive, image → text' noenhanced offset 0,-0.5
set xlabel 'recall' noenhanced offset 0,0.3
set ylabel 'precision' noenhanced
set xrange [0:1]
set yrange [0:1]
set xtics 0.2
set ytics 0.2
unset key
plot $p4s0 using 1:($2-$3):($2+$3) with filledcurves fc rgb '#e69f00' fs transparent solid 0.18 noborder notitle, \
  $p4s0 using 1:2 with lines ls 2 notitle, \
  $p4s0 every 1::0 using 1:2 with points ls 2 notitle
unset label 1
set lmargin at screen 0.59394
set rmargin at screen 0.97879
set tmargin at screen 0.31507
set bmargin at screen 0.09589
set title 'PGD adaptive, text → image' noenhanced offset 0,-0.5
set xlabel 'recall' noenhanced offset 0,0.3
set ylabel '' noenhanced
set xrange [0:1]
set yrange [0:1]
set xtics 0.2
set ytics 0.2
unset key
plot $p5s0 using 1:($2-$3):($2+$3) with filledcurves fc rgb '#e69f00' fs transparent solid 0.18 noborder notitle, \
  $p5s0 using 1:2 with lines ls 2 notitle, \
  $p5s0 every 1::0 using 1:2 with points ls 2 notitle
unset label 1
reset
unset border
unset tics
unset key
set lmargin 0
set rmargin 0
set tmargin 0
set bmargin 0
set xrange [0:660.0]
set yrange [876.0:0]
set lmargin at screen 0
set rmargin at screen 1
set tmargin at screen 1
set bmargin at screen 0
set label 2 'no defense' at 77.2,861.0 left noenhanced
set style line 1 lc rgb '#000000' lw 1.8 dt 1 pt 7 ps 0.7
$k0 << EOD
35.2 861.0
53.2 861.0
71.2 861.0
EOD
set label 3 'DRFGD' at 225.6,861.0 left noenhanced
set style line 2 lc rgb '#e69f00' lw 1.8 dt 2 pt 5 ps 0.7
$k1 << EOD
183.6 861.0
201.6 861.0
219.6 861.0
EOD
set label 4 'box blur' at 374.0,861.0 left noenhanced
set style line 3 lc rgb '#0072b2' lw 1.8 dt 1 pt 9 ps 0.7
$k2 << EOD
332.0 861.0
350.0 861.0
368.0 861.0
EOD
set label 5 'rounded text' at 522.4,861.0 left noenhanced
set style line 4 lc rgb '#cc79a7' lw 1.8 dt 4 pt 13 ps 0.7
$k3 << EOD
480.4 861.0
498.4 861.0
516.4 861.0
EOD
plot $k0 using 1:2 with lines ls 1 notitle, \
  $k0 every ::1::1 using 1:2 with points ls 1 notitle, \
  $k1 using 1:2 with lines ls 2 notitle, \
  $k1 every ::1::1 using 1:2 with points ls 2 notitle, \
  $k2 using 1:2 with lines ls 3 notitle, \
  $k2 every ::1::1 using 1:2 with points ls 3 notitle, \
  $k3 using 1:2 with lines ls 4 notitle, \
  $k3 every ::1::1 using 1:2 with points ls 4 notitle
unset multiplot
