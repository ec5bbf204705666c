set encoding utf8
set terminal pdfcairo size 6.111in,4.644in font 'sans,9' background rgb '#ffffff'
set border 3 lw 0.8
set tics nomirror out scale 0.6
set grid ytics lc rgb '#c8c8c8' lw 0.6 dt 1
set multiplot
set label 1 'MAP of defended cross-modal retrieval: picto_scenes cpah 32 bits' at screen 0.5,0.95933 center noenhanced font ',13'
$cells << EOD
0 0 34.6
1 0 35.2
0 1 61
1 1 58
0 2 59
1 3 58
0 4 60
1 4 58.2
0 5 41
1 5 39.5
0 6 56
1 7 58
0 8 58
1 8 57.9
0 9 57.1
1 9 57
0 10 42
1 10 50
EOD
$dark << EOD
0 0 34.6
1 0 35.2
0 5 41.0
1 5 39.5
0 10 42.0
EOD
$light << EOD
0 1 61.0
1 1 58.0
0 2 59.0
1 3 58.0
0 4 60.0
1 4 58.2
0 6 56.0
1 7 58.0
0 8 58.0
1 8 57.9
0 9 57.1
1 9 57.0
1 10 50.0
EOD
set palette defined (0 '#f7fbff', 0.5 '#6baed6', 1 '#08306b')
set cbrange [34.6:61]
set lmargin at screen 0.30404
set rmargin at screen 0.78542
set tmargin at screen 0.89952
set bmargin at screen 0.07177
set colorbox user origin screen 0.81088,0.07177 size screen 0.03273,0.82775
unset grid
unset key
set tics scale 0
set xtics noenhanced ('image → text' 0, 'text → image' 1)
set ytics noenhanced ('chance level' 0, 'no attack, no defense' 1, 'no attack, box_blur' 2, 'no attack, round_text' 3, 'no attack, drfgd' 4, 'PGD, no defense' 5, 'PGD, box_blur' 6, 'PGD, round_text' 7, 'PGD, drfgd' 8, 'PGD, drfgd w/o L_Ali' 9, 'PGD adaptive, drfgd' 10)
set xrange [-0.5:1.5]
set yrange [10.5:-0.5]
set border 0
set cblabel 'map in percent' noenhanced offset 1,0
plot $cells using 1:2:(0.49):(0.48):3 with boxxyerror fc palette fs solid 1 noborder notitle, \
  $dark using 1:2:(strcol(3)) with labels tc rgb '#000000' notitle, \
  $light using 1:2:(strcol(3)) with labels tc rgb '#ffffff' notitle
unset multiplot
