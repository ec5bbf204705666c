set encoding utf8
set terminal svg size 680,912 dynamic fontscale 1 font 'sans-serif,12' background rgb '#ffffff'
set border 3 lw 0.8
set tics nomirror out scale 0.6
set grid ytics lc rgb '#c8c8c8' lw 0.6 dt 1
set style line 1 lc rgb '#000000' lw 1.8 dt 1 pt 7 ps 0.5
set style line 2 lc rgb '#d55e00' lw 1.8 dt 2 pt 5 ps 0.5
set style line 3 lc rgb '#0072b2' lw 1.8 dt 1 pt 9 ps 0.5
set style line 4 lc rgb '#cc79a7' lw 1.8 dt 4 pt 13 ps 0.5
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
set label 1 'Precision and recall of defended retrieval' at screen 0.5,0.98136 center noenhanced font ',13'
set lmargin at screen 0.10882
set rmargin at screen 0.47941
set tmargin at screen 0.93421
set bmargin at screen 0.71930
set title 'no attack, image → text' noenhanced offset 0,-0.5
set xlabel 'recall' noenhanced offset 0,0.3
set ylabel 'precision' noenhanced
set xrange [0:1]
set yrange [0:1]
set xtics 0.2
set ytics 0.2
unset key
plot $p0s0 using 1:($2-$3):($2+$3) with filledcurves fc rgb '#000000' fs transparent solid 0.18 noborder notitle, \
  $p0s1 using 1:($2-$3):($2+$3) with filledcurves fc rgb '#d55e00' fs transparent solid 0.18 noborder notitle, \
  $p0s2 using 1:($2-$3):($2+$3) with filledcurves fc rgb '#0072b2' fs transparent solid 0.18 noborder notitle, \
  $p0s0 using 1:2 with lines ls 1 notitle, \
  $p0s0 every 1::0 using 1:2 with points ls 1 notitle, \
  $p0s1 using 1:2 with lines ls 2 notitle, \
  $p0s1 every 1::0 using 1:2 with points ls 2 notitle, \
  $p0s2 using 1:2 with lines ls 3 notitle, \
  $p0s2 every 1::0 using 1:2 with points ls 3 notitle
unset label 1
set lmargin at screen 0.60882
set rmargin at screen 0.97941
set tmargin at screen 0.93421
set bmargin at screen 0.71930
set title 'no attack, text → image' noenhanced offset 0,-0.5
set xlabel 'recall' noenhanced offset 0,0.3
set ylabel '' noenhanced
set xrange [0:1]
set yrange [0:1]
set xtics 0.2
set ytics 0.2
unset key
plot $p1s0 using 1:($2-$3):($2+$3) with filledcurves fc rgb '#000000' fs transparent solid 0.18 noborder notitle, \
  $p1s1 using 1:($2-$3):($2+$3) with filledcurves fc rgb '#d55e00' fs transparent solid 0.18 noborder notitle, \
  $p1s2 using 1:($2-$3):($2+$3) with filledcurves fc rgb '#cc79a7' fs transparent solid 0.18 noborder notitle, \
  $p1s0 using 1:2 with lines ls 1 notitle, \
  $p1s0 every 1::0 using 1:2 with points ls 1 notitle, \
  $p1s1 using 1:2 with lines ls 2 notitle, \
  $p1s1 every 1::0 using 1:2 with points ls 2 notitle, \
  $p1s2 using 1:2 with lines ls 4 notitle, \
  $p1s2 every 1::0 using 1:2 with points ls 4 notitle
unset label 1
set lmargin at screen 0.10882
set rmargin at screen 0.47941
set tmargin at screen 0.62500
set bmargin at screen 0.41009
set title 'PGD, image → text' noenhanced offset 0,-0.5
set xlabel 'recall' noenhanced offset 0,0.3
set ylabel 'precision' noenhanced
set xrange [0:1]
set yrange [0:1]
set xtics 0.2
set ytics 0.2
unset key
plot $p2s0 using 1:($2-$3):($2+$3) with filledcurves fc rgb '#000000' fs transparent solid 0.18 noborder notitle, \
  $p2s1 using 1:($2-$3):($2+$3) with filledcurves fc rgb '#d55e00' fs transparent solid 0.18 noborder notitle, \
  $p2s2 using 1:($2-$3):($2+$3) with filledcurves fc rgb '#0072b2' fs transparent solid 0.18 noborder notitle, \
  $p2s0 using 1:2 with lines ls 1 notitle, \
  $p2s0 every 1::0 using 1:2 with points ls 1 notitle, \
  $p2s1 using 1:2 with lines ls 2 notitle, \
  $p2s1 every 1::0 using 1:2 with points ls 2 notitle, \
  $p2s2 using 1:2 with lines ls 3 notitle, \
  $p2s2 every 1::0 using 1:2 with points ls 3 notitle
unset label 1
set lmargin at screen 0.60882
set rmargin at screen 0.97941
set tmargin at screen 0.62500
set bmargin at screen 0.41009
set title 'PGD, text → image' noenhanced offset 0,-0.5
set xlabel 'recall' noenhanced offset 0,0.3
set ylabel '' noenhanced
set xrange [0:1]
set yrange [0:1]
set xtics 0.2
set ytics 0.2
unset key
plot $p3s0 using 1:($2-$3):($2+$3) with filledcurves fc rgb '#000000' fs transparent solid 0.18 noborder notitle, \
  $p3s1 using 1:($2-$3):($2+$3) with filledcurves fc rgb '#d55e00' fs transparent solid 0.18 noborder notitle, \
  $p3s2 using 1:($2-$3):($2+$3) with filledcurves fc rgb '#cc79a7' fs transparent solid 0.18 noborder notitle, \
  $p3s0 using 1:2 with lines ls 1 notitle, \
  $p3s0 every 1::0 using 1:2 with points ls 1 notitle, \
  $p3s1 using 1:2 with lines ls 2 notitle, \
  $p3s1 every 1::0 using 1:2 with points ls 2 notitle, \
  $p3s2 using 1:2 with lines ls 4 notitle, \
  $p3s2 every 1::0 using 1:2 with points ls 4 notitle
unset label 1
set lmargin at screen 0.10882
set rmargin at screen 0.47941
set tmargin at screen 0.31579
set bmargin at screen 0.10088
set title 'PGD adaptive, image → text' noenhanced offset 0,-0.5
set xlabel 'recall' noenhanced offset 0,0.3
set ylabel 'precision' noenhanced
set xrange [0:1]
set yrange [0:1]
set xtics 0.2
set ytics 0.2
unset key
plot $p4s0 using 1:($2-$3):($2+$3) with filledcurves fc rgb '#d55e00' fs transparent solid 0.18 noborder notitle, \
  $p4s0 using 1:2 with lines ls 2 notitle, \
  $p4s0 every 1::0 using 1:2 with points ls 2 notitle
unset label 1
set lmargin at screen 0.60882
set rmargin at screen 0.97941
set tmargin at screen 0.31579
set bmargin at screen 0.10088
set title 'PGD adaptive, text → image' noenhanced offset 0,-0.5
set xlabel 'recall' noenhanced offset 0,0.3
set ylabel '' noenhanced
set xrange [0:1]
set yrange [0:1]
set xtics 0.2
set ytics 0.2
unset key
plot $p5s0 using 1:($2-$3):($2+$3) with filledcurves fc rgb '#d55e00' fs transparent solid 0.18 noborder notitle, \
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
set xrange [0:680.0]
set yrange [912.0:0]
set lmargin at screen 0
set rmargin at screen 1
set tmargin at screen 1
set bmargin at screen 0
set label 2 'no defense' at 87.2,897.0 left noenhanced
set style line 1 lc rgb '#000000' lw 1.8 dt 1 pt 7 ps 0.5
$k0 << EOD
45.2 897.0
63.2 897.0
81.2 897.0
EOD
set label 3 'DRFGD' at 235.6,897.0 left noenhanced
set style line 2 lc rgb '#d55e00' lw 1.8 dt 2 pt 5 ps 0.5
$k1 << EOD
193.6 897.0
211.6 897.0
229.6 897.0
EOD
set label 4 'box blur' at 384.0,897.0 left noenhanced
set style line 3 lc rgb '#0072b2' lw 1.8 dt 1 pt 9 ps 0.5
$k2 << EOD
342.0 897.0
360.0 897.0
378.0 897.0
EOD
set label 5 'rounded text' at 532.4,897.0 left noenhanced
set style line 4 lc rgb '#cc79a7' lw 1.8 dt 4 pt 13 ps 0.5
$k3 << EOD
490.4 897.0
508.4 897.0
526.4 897.0
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
