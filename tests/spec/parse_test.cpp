// What the reader of sweep files says about each kind of mistake.

#include "core/spec/detail/section_readers.hpp"
#include "tests/spec/sweeps.hpp"

namespace gauntlet::spec {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

/// The problems of a one-cell sweep in which `from` is replaced by `to`.
std::vector<std::string> problems_with(std::string_view from, std::string_view to) {
  std::string text = one_cell();
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  text.replace(at, from.size(), to);
  return parse_problems(text);
}

TEST(ParseSweep, AGoodFileHasNoProblem) { EXPECT_THAT(parse_problems(one_cell()), IsEmpty()); }

TEST(ParseSweep, AProblemsTextStartsWithFileLineAndColumn) {
  EXPECT_EQ(to_text(Problem{3, 12, "no"}, "a.yaml"), "a.yaml:3:12: no");
  EXPECT_EQ(to_text(Problem{0, 0, "no"}, "a.yaml"), "a.yaml: no");
}

TEST(ParseSweep, TenMistakesGiveTenProblemsAtTheirPlaces) {
  const auto text = read_file(kGoldenFolder / "ten_mistakes.yaml");
  ASSERT_TRUE(text);
  const auto problems = parse_problems(*text);
  EXPECT_THAT(problems, SizeIs(testing::Ge(10U)));
  EXPECT_THAT(problems,
              Contains(HasSubstr("4:13: unknown dataset 'picto_scene'; did you mean 'picto_scenes'?")));
  EXPECT_THAT(problems, Contains(HasSubstr("unknown option 'epoch'; did you mean 'epochs'?")));
}

struct Mistake {
  std::string from, to, problem;
  friend void PrintTo(const Mistake& mistake, std::ostream* out) {
    *out << mistake.from << " -> " << mistake.to;
  }
};

class Mistakes : public testing::TestWithParam<Mistake> {};

TEST_P(Mistakes, AreNamedWithPlaceValueAndAllowance) {
  const Mistake& mistake = GetParam();
  EXPECT_THAT(problems_with(mistake.from, mistake.to), ElementsAre(mistake.problem));
}

INSTANTIATE_TEST_SUITE_P(
    Head, Mistakes,
    testing::Values(
        Mistake{"gauntlet: 1", "gauntlet: one",
                "1:11: gauntlet (the format version) is 'one'; allowed: an integer from 1 to 1"},
        Mistake{"gauntlet: 1\n", "", "1:1: the format version is missing; start the file with 'gauntlet: 1'"},
        Mistake{"name: one\n", "", "1:1: the sweep has no 'name'"},
        Mistake{"name: one", "name: [one]", "2:7: name is a list; allowed: a text"},
        Mistake{
            "name: one", "name: a/b",
            "2:7: name is 'a/b'; allowed: up to 100 letters, digits, '-', '_', '.', not starting with '.'"},
        Mistake{"name: one", "name: one\nname: two", "3:1: key 'name' is already on line 2; keep one"},
        Mistake{"name: one", "name: one\naxs: {}",
                "3:1: unknown key of a sweep 'axs'; did you mean 'axes'? (known: gauntlet, name, axes, zip, "
                "exclude, include, settings, ablations, metrics, resources, tables, noop, command, external, "
                "select, explain, on_queries)"}),
    [](const auto& each) { return fmt::format("n{}", each.index); });

INSTANTIATE_TEST_SUITE_P(
    Axes, Mistakes,
    testing::Values(
        Mistake{"  model: cpah\n", "", "4:3: axes has no 'model'"},
        Mistake{"model: cpah", "model: []", "5:10: axis model is an empty list"},
        Mistake{"model: cpah", "model: [[cpah]]", "5:11: a value of model is a list; allowed: a text"},
        Mistake{"model: cpah", "model: cpha",
                "5:10: unknown model 'cpha'; did you mean 'cpah'? (known: cpah, dadh, daph)"},
        Mistake{"model: cpah", "model: {epochs: 3}", "5:10: a value of model has no 'name'"},
        Mistake{"model: cpah", "model: {name: cpah, epochs: 3.5}",
                "5:31: cpah: 'epochs' is 3.5; allowed: an integer from 1 to 1000"},
        Mistake{"model: cpah", "model: {name: cpah, lr: .nan}",
                "5:27: cpah: 'lr' is \".nan\"; allowed: a number from 0 to 1"},
        Mistake{"model: cpah", "model: {name: cpah, lr: 1/0}",
                "5:27: cpah: 'lr' is \"1/0\"; allowed: a number from 0 to 1"},
        Mistake{"model: cpah", "model: {name: cpah, lr: [1]}",
                "5:27: cpah: 'lr' is a list; allowed: a number"},
        Mistake{"model: cpah", "model: [cpah, cpah]", "5:17: model 'cpah' is listed twice (first on line 5)"},
        Mistake{"model: cpah", "model: [cpah, {name: cpah, epochs: 3}]",
                "5:17: two values of model are called 'cpah' (the other is on line 5); give one a label of "
                "its own"},
        Mistake{"model: cpah", "model: [cpah, {name: dadh, label: cpah}]",
                "5:17: two values of model are called 'cpah' (the other is on line 5); give one a label of "
                "its own"},
        Mistake{"bits: 32", "bits: thirty",
                "6:9: a value of bits is 'thirty'; allowed: an integer from 1 to 4096"},
        Mistake{"bits: 32", "bits: 5000",
                "6:9: a value of bits is '5000'; allowed: an integer from 1 to 4096"},
        Mistake{"bits: 32", "bits: {name: 32, label: x}",
                "6:20: unknown key of a value of bits 'label' (known: name, when)"},
        Mistake{"direction: i2t", "direction: i2i",
                "9:14: unknown direction 'i2i'; did you mean 'i2t'? (known: i2t, t2i)"},
        Mistake{"seed: 1", "seed: -1",
                "10:9: a value of seed is '-1'; allowed: an integer from 0 to 9223372036854775807"},
        Mistake{"attack: none", "attack: {name: pgd, protocol: stat}",
                "8:33: unknown protocol 'stat' (known: static, retrained, adaptive)"},
        Mistake{"attack: none", "attack: {name: pgd, when: {attack: pgd}}",
                "8:23: when of a value of attack cannot name attack itself"},
        Mistake{"attack: none", "attack: {name: pgd, when: {defense: drfdg}}",
                "8:39: unknown defense 'drfdg'; did you mean 'drfgd'? (known: none, drfgd, atrdh, saat, "
                "box_blur, round_text)"}),
    [](const auto& each) { return fmt::format("n{}", each.index); });

INSTANTIATE_TEST_SUITE_P(
    Sections, Mistakes,
    testing::Values(
        Mistake{"metrics: [map, t_map]\n", "", "1:1: the sweep names no 'metrics'"},
        Mistake{"t_map", "tmap",
                "11:16: unknown metric 'tmap'; did you mean 'map'? (known: map, t_map, pr, precision, "
                "chance_map)"},
        Mistake{"t_map", "map/Best",
                "11:16: metric 'map/Best': unknown rule for ties 'Best'; did you mean 'best'? (known: "
                "expected, stable, best, worst)"},
        Mistake{"t_map", "map@x", "11:16: metric 'map@x': 'x' after @ is not an integer of at least 1"},
        Mistake{"t_map", "\"map:A\"",
                "11:16: metric 'map:A': bad kind 'A'; the form is base[@K][:kind][/ties]"},
        Mistake{"t_map", "map/expected", "11:16: metric 'map' is listed twice"},
        Mistake{"metrics:", "zip: [model, bits]\nmetrics:",
                "11:7: a zip group is 'model'; allowed: a list of axes, as in zip: [[model, bits]]"},
        Mistake{"metrics:", "zip: [[model]]\nmetrics:",
                "11:7: a zip group of one axis; name at least two that advance together"},
        Mistake{"metrics:", "exclude: [{}]\nmetrics:", "11:11: an empty exclude would remove every cell"},
        Mistake{"metrics:", "exclude: [{bits: 99}]\nmetrics:", "11:18: unknown bits '99' (known: 32)"},
        Mistake{"metrics:", "settings: [{match: {model: cpah}}]\nmetrics:",
                "11:12: a setting without 'set' changes nothing"},
        Mistake{"metrics:", "settings: [{set: {model.epoch: 3}}]\nmetrics:",
                "11:19: unknown option 'model.epoch'; did you mean 'model.epochs'? (known: model.epochs, "
                "model.lr)"},
        Mistake{"metrics:", "settings: [{set: {model.epochs: 0}}]\nmetrics:",
                "11:19: cpah: 'epochs' is 0; allowed: an integer from 1 to 1000"},
        Mistake{"metrics:", "settings: [{set: {epochs: 3}}]\nmetrics:",
                "11:19: 'epochs' in set is not of the form kind.option; unknown kind 'epochs' (known: "
                "dataset, model, attack, "
                "defense)"},
        Mistake{"metrics:", "settings: [{set: {attack.protocol: full}}]\nmetrics:",
                "11:19: unknown protocol 'full' (known: static, retrained, adaptive)"},
        Mistake{"metrics:", "ablations: [{name: a, base: {model: cpah}}]\nmetrics:",
                "11:13: ablation 'a' has no 'variants'"},
        Mistake{"metrics:", "ablations: [{variants: {v: {model.epochs: 3}}}]\nmetrics:",
                "11:13: an ablation has no 'name'"},
        Mistake{"metrics:",
                "ablations: [{name: a, base: {modle: cpah}, variants: {v: {model.epochs: 3}}}]\nmetrics:",
                "11:30: unknown key of base of ablation 'a' 'modle'; did you mean 'model'? (known: dataset, "
                "model, bits, defense, "
                "attack, direction, seed)"},
        Mistake{"metrics:", "include: [{bits: 16, attack: pdg}]\nmetrics:",
                "11:30: unknown attack 'pdg'; did you mean 'pgd'? (known: none, pgd, eqb2a, ta_dch)"},
        Mistake{"metrics:", "resources: {train: {cpus: 1}}\nmetrics:",
                "11:13: resources: unknown kind of job 'train' (known: prepare, features, train_model, "
                "train_attack, craft, "
                "train_defense, encode, evaluate, explain, command, noop)"},
        Mistake{"metrics:", "resources: {craft: {cpus: 0}}\nmetrics:",
                "11:27: cpus of craft is '0'; allowed: an integer from 1 to 4096"},
        Mistake{"metrics:", "resources: {craft: {memory: 8}}\nmetrics:",
                "11:29: memory of craft: '8' is not an amount of memory; write it as 512MB, 8GB or 8GiB"},
        Mistake{"metrics:", "resources: {craft: {time: 4 h}}\nmetrics:",
                "11:27: time of craft: '4 h' is not a time limit; write it as 90s, 30m, 4h, 1h30m or 2d, up "
                "to 366d"},
        Mistake{"metrics:", "resources: {craft: [{gpus: 1}, {gpus: 1, cpus: 8}]}\nmetrics:",
                "11:20: resources: two variants ask for 1 gpus; each must ask for another number of them of "
                "craft"},
        Mistake{"metrics:", "resources: {craft: [{gpus: 1}, {time: 4h}]}\nmetrics:",
                "11:33: unknown key of resources of craft 'time' (known: cpus, gpus, ranks, memory)"},
        Mistake{"metrics:", "resources: {craft: []}\nmetrics:",
                "11:20: resources of craft: the list of variants is empty"},
        Mistake{"metrics:", "resources: {craft: {labels: {disk: a b}}}\nmetrics:",
                "11:30: labels of craft: 'disk: a b' is no label; names and values are 1 to 64 letters, "
                "digits or "
                "._-/"},
        Mistake{"metrics:", "tables: [{a: b}]\nmetrics:",
                "11:10: tables is a mapping; allowed: a name or a list of names"}),
    [](const auto& each) { return fmt::format("n{}", each.index); });

TEST(ParseSweep, ZippedAxesOfDifferentLengthsAreNamed) {
  std::string text = one_cell("none", "none", "zip: [[model, bits]]\n");
  text.replace(text.find("bits: 32"), 8, "bits: [16, 32]");
  EXPECT_THAT(parse_problems(text),
              ElementsAre("12:7: zipped axes differ in length: model has 1, bits has 2"));
}

TEST(ParseSweep, AnIncludeMustSayWhichOfSeveralValues) {
  std::string text = one_cell("none", "none", "include: [{model: cpah}]\n");
  text.replace(text.find("bits: 32"), 8, "bits: [16, 32]");
  EXPECT_THAT(parse_problems(text), ElementsAre("12:11: this include does not say which bits"));
}

TEST(ParseSweep, NoopGoesWithNothingThatMakesCells) {
  EXPECT_THAT(problems_with("name: one", "name: one\nnoop: {jobs: 3}"),
              ElementsAre("4:1: 'axes' does not go with 'noop', which has no cells",
                          "12:1: 'metrics' does not go with 'noop', which has no cells"));
}

TEST(ParseSweep, NoopNeedsANumberOfJobs) {
  EXPECT_THAT(parse_problems("gauntlet: 1\nname: n\nnoop: {ms: 1}\n"),
              ElementsAre("3:7: noop does not say how many 'jobs'"));
  EXPECT_THAT(parse_problems("gauntlet: 1\nname: n\nnoop: {jobs: 20000000}\n"),
              ElementsAre("3:14: jobs of noop is '20000000'; allowed: an integer from 1 to 10000000"));
  EXPECT_THAT(
      parse_problems("gauntlet: 1\nname: n\n"),
      ElementsAre("1:1: the sweep has neither 'axes' nor 'noop'", "1:1: the sweep names no 'metrics'"));
}

TEST(ParseSweep, TextThatIsNoYamlIsRefusedWithItsPlace) {
  EXPECT_THAT(parse_problems("gauntlet: [1\nname: x"), ElementsAre(HasSubstr("not a readable YAML file: ")));
  EXPECT_THAT(parse_problems(""), ElementsAre("1:1: the file is empty; a sweep starts with 'gauntlet: 1'"));
  EXPECT_THAT(parse_problems("- 1"),
              ElementsAre("1:1: a sweep file is a list; allowed: a mapping (key: value)"));
  EXPECT_THAT(parse_problems("gauntlet: 1\n---\nname: x\n"),
              ElementsAre(HasSubstr("a sweep file holds one YAML document; this is a second one")));
  EXPECT_THAT(parse_problems("name: !!binary x"),
              ElementsAre(HasSubstr("the tag 'tag:yaml.org,2002:binary' means nothing here")));
  EXPECT_THAT(parse_problems("[a]: x"), ElementsAre(HasSubstr("a key must be a plain text")));
}

TEST(ParseSweep, TextThatIsNotUtf8IsRefusedWithItsPlace) {
  EXPECT_THAT(parse_problems("name: a\nb: \xC3\x28"),
              ElementsAre("2:4: byte 0xc3 is not UTF-8 text; save the file as UTF-8"));
  EXPECT_THAT(parse_problems("b: \xED\xA0\x80"), ElementsAre(HasSubstr("byte 0xed is not UTF-8")));
  EXPECT_THAT(parse_problems("b: \xC0\xAF"), ElementsAre(HasSubstr("byte 0xc0 is not UTF-8")));
  EXPECT_THAT(parse_problems(std::string("b: \0", 4)), ElementsAre(HasSubstr("byte 0x00 is not UTF-8")));
}

TEST(ParseSweep, AFileBeyondTheSizeLimitIsRefused) {
  const std::string text(kMaxSweepBytes + 1, ' ');
  EXPECT_THAT(parse_problems(text),
              ElementsAre(HasSubstr("the file has 67108865 bytes; a sweep file may have 67108864")));
}

TEST(ParseSweep, AliasesCountAsWhatTheyStandFor) {
  std::string bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n";
  for (char name = 'b'; name < 'k'; ++name) {
    bomb += fmt::format("{0}: &{0} [", name);
    for (int copy = 0; copy < 9; ++copy)
      bomb += fmt::format("{}*{}", copy == 0 ? "" : ", ", static_cast<char>(name - 1));
    bomb += "]\n";
  }
  EXPECT_THAT(parse_problems(bomb),
              ElementsAre(HasSubstr("more than 2000000 values, aliases counted as what they stand for")));
  EXPECT_THAT(parse_problems("a: &a [*a]"),
              ElementsAre(HasSubstr("this alias stands inside what it stands for")));
}

TEST(ParseSweep, AnAliasIsWhatItStandsFor) {
  const SweepSpec spec = parsed(one_cell("&d [none, drfgd]", "none",
                                         "ablations:\n- {name: a, base: {defense: drfgd}, variants: {v: &s "
                                         "{defense.use_div: false}, w: *s}}\n"));
  ASSERT_THAT(spec.ablations, SizeIs(1));
  ASSERT_THAT(spec.ablations[0].variants, SizeIs(2));
  EXPECT_EQ(spec.ablations[0].variants[1].set[0].value, Json(false));
}

TEST(ParseSweep, DeepNestingIsRefused) {
  EXPECT_THAT(parse_problems("a: " + std::string(100'000, '[')),
              ElementsAre(HasSubstr("not a readable YAML file")));
}

TEST(ParseSweep, TenMillionCellsAreTheLimit) {
  std::string seeds = "[0";
  for (int seed = 1; seed < 10'000; ++seed) seeds += fmt::format(",{}", seed);
  seeds += "]";
  std::string bits = "[1";
  for (int value = 2; value <= 1001; ++value) bits += fmt::format(",{}", value);
  bits += "]";
  std::string text = one_cell();
  text.replace(text.find("seed: 1"), 7, "seed: " + seeds);
  text.replace(text.find("bits: 32"), 8, "bits: " + bits);
  EXPECT_THAT(parse_problems(text), ElementsAre("4:3: the sweep has 10010000 cells; allowed: 10000000"));
}

TEST(ParseSweep, OverflowingCellCountsAreRefusedToo) {
  PointSet points;
  std::vector<std::vector<std::uint32_t>> rows(100'000, {0});
  for (int dimension = 0; dimension < 7; ++dimension) points.dimensions.push_back({{Axis::kSeed}, rows});
  EXPECT_EQ(points.size(), UINT64_MAX);
}

TEST(ParseSweep, MetricNamesAreKeptInTheirShortestForm) {
  std::string text = one_cell();
  text.replace(text.find("[map, t_map]"), 12, "[map@50:first_relevant/expected, pr, map/stable]");
  EXPECT_THAT(parsed(text).metrics, ElementsAre("map/stable", "map@50:first_relevant", "pr"));
}

TEST(ParseSweep, TheMetricsOwnCheckIsAsked) {
  const auto check = [](std::string_view name) -> Status {
    if (name == "t_map") return fail(ErrorCode::kInvalid, "t_map is on holiday");
    return {};
  };
  const ParsedSweep sweep = parse_sweep(one_cell(), "t", test_catalog(), check);
  EXPECT_THAT(texts(sweep.problems), ElementsAre("11:16: t_map is on holiday"));
}

TEST(ParseSweep, ResourcesStartFromTheirDefaults) {
  const SweepSpec spec =
      parsed(one_cell("none", "none", "resources: {train_model: {gpus: 2, memory: 8GB, time: 1h30m}}\n"));
  const Resources& changed = spec.resources.at(JobKind::kTrainModel);
  EXPECT_EQ(changed, (Resources{.cpus = 2, .gpus = 2, .ranks = 1, .memory_mb = 8000, .time_s = 5400}));
  EXPECT_EQ(spec.resources.at(JobKind::kEncode), default_resources(JobKind::kEncode));
}

TEST(ParseSweep, ResourcesMayHaveVariantsAndLabels) {
  const SweepSpec spec = parsed(one_cell(
      "none", "none",
      "resources: {train_model: [{gpus: 1, time: 4h, labels: {disk: ssd}}, {cpus: 8, memory: 8GB}]}\n"));
  const Resources& asked = spec.resources.at(JobKind::kTrainModel);
  EXPECT_EQ(asked.gpus, 1);
  EXPECT_EQ(asked.labels, (std::map<std::string, std::string>{{"disk", "ssd"}}));
  ASSERT_EQ(asked.or_else.size(), 1U);
  EXPECT_EQ(asked.or_else[0], (Resources{.cpus = 8, .memory_mb = 8000, .time_s = 14400}));
  EXPECT_EQ(&asked.with_gpus(1), &asked);
  EXPECT_EQ(&asked.with_gpus(0), &asked.or_else[0]);
  EXPECT_EQ(text_of(asked), "1 gpu, 2 cpus or 8 cpus, 8000 MB, label disk=ssd, up to 4h 0m");
}

TEST(Quantities, AreReadWithTheirUnits) {
  EXPECT_EQ(detail::parse_memory_mb("512MB").value_or(-1), 512);
  EXPECT_EQ(detail::parse_memory_mb("1.5 GiB").value_or(-1), 1611);
  EXPECT_EQ(detail::parse_memory_mb("1KB").value_or(-1), 1);
  EXPECT_EQ(detail::parse_duration_s("90s").value_or(-1), 90);
  EXPECT_EQ(detail::parse_duration_s("2d").value_or(-1), 172'800);
  for (const char* bad : {"", "8", "GB", "-1GB", "1e99GB", "8gb"})
    EXPECT_FALSE(detail::parse_memory_mb(bad)) << bad;
  for (const char* bad : {"", "4", "h", "-4h", "4h3", "400d", "nanh", "0s"})
    EXPECT_FALSE(detail::parse_duration_s(bad)) << bad;
}

}  // namespace
}  // namespace gauntlet::spec
