set encoding utf8
set terminal pngcairo size 1552,748 fontscale 1.5 linewidth 1.8 pointscale 1.8 font 'sans,12' background rgb '#ffffff'
set border 3 lw 0.8
set tics nomirror out scale 0.6
set grid ytics lc rgb '#c8c8c8' lw 0.6 dt 1
set style line 1 lc rgb '#000000' lw 1.8 dt 1 pt 7 ps 0.7
set style line 2 lc rgb '#d55e00' lw 1.8 dt 2 pt 5 ps 0.7
set style line 3 lc rgb '#0072b2' lw 1.8 dt 1 pt 9 ps 0.7
set style line 4 lc rgb '#cc79a7' lw 1.8 dt 4 pt 13 ps 0.7
set style line 5 lc rgb '#009e73' lw 1.8 dt 5 pt 11 ps 0.7
$p0s0 << EOD
-0.32 61 1.48492
0.68 41 1.48492
EOD
$p0s1 << EOD
-0.16 59 1.48492
0.84 56 1.48492
EOD
$p0s2 << EOD
0.16 60 1.48492
1.16 58 1.48492
2.16 42 1.48492
EOD
$p0s3 << EOD
1.32 57.1 1.48492
EOD
$p1s0 << EOD
-0.32 58 1.48492
0.68 39.5 1.48492
EOD
$p1s1 << EOD
0 58 1.48492
1 58 1.48492
EOD
$p1s2 << EOD
0.16 58.2 1.48492
1.16 57.9 1.48492
2.16 50 1.48492
EOD
$p1s3 << EOD
1.32 57 1.48492
EOD
set multiplot
set label 1 'MAP of defended cross-modal retrieval: picto_scenes cpah 32 bits' at screen 0.5,0.95455 center noenhanced font ',13'
set lmargin at screen 0.09536
set rmargin at screen 0.48196
set tmargin at screen 0.83957
set bmargin at screen 0.21390
set title 'image → text' noenhanced offset 0,-0.5
set xlabel '' noenhanced offset 0,0.3
set ylabel 'map in percent' noenhanced
set yrange [0:65.6092]
unset key
set xrange [-0.6:2.6]
set xtics ('no attack' 0, 'PGD' 1, 'PGD adaptive' 2) scale 0 noenhanced
plot $p0s0 using 1:2:(0.14720) with boxes fc rgb '#000000' fs solid 0.3 noborder notitle, \
  $p0s0 using 1:2:(0.14720) with boxes fc rgb '#000000' lw 0.8 fs transparent pattern 0 border lc rgb '#000000' notitle, \
  $p0s0 using 1:($2-$3):(0):(2*$3) with vectors nohead lc rgb '#000000' lw 1.6 notitle, \
  $p0s1 using 1:2:(0.14720) with boxes fc rgb '#d55e00' fs solid 0.3 noborder notitle, \
  $p0s1 using 1:2:(0.14720) with boxes fc rgb '#d55e00' lw 0.8 fs transparent pattern 1 border lc rgb '#d55e00' notitle, \
  $p0s1 using 1:($2-$3):(0):(2*$3) with vectors nohead lc rgb '#000000' lw 1.6 notitle, \
  $p0s2 using 1:2:(0.14720) with boxes fc rgb '#cc79a7' fs solid 0.3 noborder notitle, \
  $p0s2 using 1:2:(0.14720) with boxes fc rgb '#cc79a7' lw 0.8 fs transparent pattern 2 border lc rgb '#cc79a7' notitle, \
  $p0s2 using 1:($2-$3):(0):(2*$3) with vectors nohead lc rgb '#000000' lw 1.6 notitle, \
  $p0s3 using 1:2:(0.14720) with boxes fc rgb '#009e73' fs solid 0.3 noborder notitle, \
  $p0s3 using 1:2:(0.14720) with boxes fc rgb '#009e73' lw 0.8 fs transparent pattern 4 border lc rgb '#009e73' notitle, \
  $p0s3 using 1:($2-$3):(0):(2*$3) with vectors nohead lc rgb '#000000' lw 1.6 notitle, \
  34.6 with lines lc rgb '#000000' lw 1 dt 3 notitle
unset label 1
set lmargin at screen 0.59536
set rmargin at screen 0.98196
set tmargin at screen 0.83957
set bmargin at screen 0.21390
set title 'text → image' noenhanced offset 0,-0.5
set xlabel '' noenhanced offset 0,0.3
set ylabel '' noenhanced
set yrange [0:65.6092]
unset key
set xrange [-0.6:2.6]
set xtics ('no attack' 0, 'PGD' 1, 'PGD adaptive' 2) scale 0 noenhanced
plot $p1s0 using 1:2:(0.14720) with boxes fc rgb '#000000' fs solid 0.3 noborder notitle, \
  $p1s0 using 1:2:(0.14720) with boxes fc rgb '#000000' lw 0.8 fs transparent pattern 0 border lc rgb '#000000' notitle, \
  $p1s0 using 1:($2-$3):(0):(2*$3) with vectors nohead lc rgb '#000000' lw 1.6 notitle, \
  $p1s1 using 1:2:(0.14720) with boxes fc rgb '#0072b2' fs solid 0.3 noborder notitle, \
  $p1s1 using 1:2:(0.14720) with boxes fc rgb '#0072b2' lw 0.8 fs transparent pattern 6 border lc rgb '#0072b2' notitle, \
  $p1s1 using 1:($2-$3):(0):(2*$3) with vectors nohead lc rgb '#000000' lw 1.6 notitle, \
  $p1s2 using 1:2:(0.14720) with boxes fc rgb '#cc79a7' fs solid 0.3 noborder notitle, \
  $p1s2 using 1:2:(0.14720) with boxes fc rgb '#cc79a7' lw 0.8 fs transparent pattern 2 border lc rgb '#cc79a7' notitle, \
  $p1s2 using 1:($2-$3):(0):(2*$3) with vectors nohead lc rgb '#000000' lw 1.6 notitle, \
  $p1s3 using 1:2:(0.14720) with boxes fc rgb '#009e73' fs solid 0.3 noborder notitle, \
  $p1s3 using 1:2:(0.14720) with boxes fc rgb '#009e73' lw 0.8 fs transparent pattern 4 border lc rgb '#009e73' notitle, \
  $p1s3 using 1:($2-$3):(0):(2*$3) with vectors nohead lc rgb '#000000' lw 1.6 notitle, \
  35.2 with lines lc rgb '#000000' lw 1 dt 3 notitle
unset label 1
reset
unset border
unset tics
unset key
set lmargin 0
set rmargin 0
set tmargin 0
set bmargin 0
set xrange [0:776.0]
set yrange [374.0:0]
set lmargin at screen 0
set rmargin at screen 1
set tmargin at screen 1
set bmargin at screen 0
set label 2 'no defense' at 92.0,341.0 left noenhanced
$k0 << EOD
68.0 341.0 14.0 6.0
EOD
set label 3 'box_blur' at 262.0,341.0 left noenhanced
$k1 << EOD
238.0 341.0 14.0 6.0
EOD
set label 4 'round_text' at 432.0,341.0 left noenhanced
$k2 << EOD
408.0 341.0 14.0 6.0
EOD
set label 5 'drfgd' at 602.0,341.0 left noenhanced
$k3 << EOD
578.0 341.0 14.0 6.0
EOD
set label 6 'drfgd w/o L_Ali' at 92.0,359.0 left noenhanced
$k4 << EOD
68.0 359.0 14.0 6.0
EOD
set label 7 'chance level' at 262.0,359.0 left noenhanced
$k5 << EOD
222.0 359.0
254.0 359.0
EOD
plot $k0 using 1:2:3:4 with boxxyerror fc rgb '#000000' fs solid 0.3 noborder notitle, \
  $k0 using 1:2:3:4 with boxxyerror fc rgb '#000000' lw 0.8 fs transparent pattern 0 border lc rgb '#000000' notitle, \
  $k1 using 1:2:3:4 with boxxyerror fc rgb '#d55e00' fs solid 0.3 noborder notitle, \
  $k1 using 1:2:3:4 with boxxyerror fc rgb '#d55e00' lw 0.8 fs transparent pattern 1 border lc rgb '#d55e00' notitle, \
  $k2 using 1:2:3:4 with boxxyerror fc rgb '#0072b2' fs solid 0.3 noborder notitle, \
  $k2 using 1:2:3:4 with boxxyerror fc rgb '#0072b2' lw 0.8 fs transparent pattern 6 border lc rgb '#0072b2' notitle, \
  $k3 using 1:2:3:4 with boxxyerror fc rgb '#cc79a7' fs solid 0.3 noborder notitle, \
  $k3 using 1:2:3:4 with boxxyerror fc rgb '#cc79a7' lw 0.8 fs transparent pattern 2 border lc rgb '#cc79a7' notitle, \
  $k4 using 1:2:3:4 with boxxyerror fc rgb '#009e73' fs solid 0.3 noborder notitle, \
  $k4 using 1:2:3:4 with boxxyerror fc rgb '#009e73' lw 0.8 fs transparent pattern 4 border lc rgb '#009e73' notitle, \
  $k5 using 1:2 with lines lc rgb '#000000' lw 1 dt 3 notitle
unset multiplot
